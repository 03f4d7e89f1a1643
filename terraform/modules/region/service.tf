# The workers: cluster, task definition, service, their secret and their logs.

locals {
  environment = merge(
    var.region.provider_environment,
    var.task.environment,
    {
      REPARTEE_REGION    = var.region.name
      REPARTEE_MAX_CALLS = tostring(var.task.slots)
      REPARTEE_DRAIN_S   = tostring(local.stop_timeout_s - 10)

      # WebRTC: the port that the security group opens, who tells a task its public address, and where its neighbours find it.
      REPARTEE_WEBRTC_PORT    = tostring(var.webrtc.port)
      REPARTEE_WEBRTC_STUN    = var.webrtc.stun
      REPARTEE_WORKER_ADDRESS = ":${local.port}"

      # Alarms and autoscaling read these metrics: without them a region neither grows nor complains.
      REPARTEE_CLOUDWATCH = "emf"
    },
  )

  # Fargate's maximum between SIGTERM and SIGKILL. The worker ends or moves its last calls 10 s before.
  stop_timeout_s = 120
}

resource "aws_cloudwatch_log_group" "worker" {
  region            = local.region
  name              = "/${var.project}/${var.region.name}/worker"
  retention_in_days = var.log_retention_days
}

resource "aws_secretsmanager_secret" "worker" {
  region      = local.region
  name        = "${var.project}/${var.region.name}/worker"
  description = "Provider keys and ticket keys of the workers in ${var.region.name}"

  # A destroyed region can be built again under the same name at once.
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "worker" {
  region                   = local.region
  secret_id                = aws_secretsmanager_secret.worker.id
  secret_string_wo         = jsonencode({ for name in var.secret_names : name => var.secrets[name] })
  secret_string_wo_version = var.secrets_version
}

resource "aws_ecs_cluster" "this" {
  region = local.region
  name   = local.name

  setting {
    name  = "containerInsights"
    value = "disabled"
  }
}

resource "aws_ecs_task_definition" "worker" {
  region                   = local.region
  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.task.cpu
  memory                   = var.task.memory_mib
  execution_role_arn       = var.execution_role_arn
  task_role_arn            = var.task_role_arn

  # Older revisions stay registered: the circuit breaker and a rollback by hand need them.
  skip_destroy = true

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "ARM64"
  }

  # The only place that the worker can write to.
  volume {
    name = "tmp"
  }

  container_definitions = jsonencode([{
    name                   = "worker"
    image                  = var.task.image
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    stopTimeout            = local.stop_timeout_s
    linuxParameters        = { initProcessEnabled = true }
    portMappings           = [{ containerPort = local.port, protocol = "tcp" }]
    mountPoints            = [{ sourceVolume = "tmp", containerPath = "/tmp", readOnly = false }]
    ulimits                = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
    environment            = [for name in sort(keys(local.environment)) : { name = name, value = local.environment[name] }]
    secrets = [for name in sort(tolist(var.secret_names)) : {
      name      = name
      valueFrom = "${aws_secretsmanager_secret.worker.arn}:${name}::"
    }]

    # A new version of the secrets is a new revision, so the service rolls over to it.
    dockerLabels = { "repartee.secrets-version" = tostring(var.secrets_version) }

    healthCheck = {
      command     = ["CMD", "python", "/opt/repartee/healthcheck.py"]
      interval    = 30
      timeout     = 5
      retries     = 3
      startPeriod = 60
    }

    # Losing a log line is better than a worker that waits for CloudWatch in the middle of a call.
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.worker.name
        "awslogs-region"        = local.region
        "awslogs-stream-prefix" = "worker"
        "mode"                  = "non-blocking"
        "max-buffer-size"       = "8m"
      }
    }
  }])
}

resource "aws_ecs_service" "worker" {
  region          = local.region
  name            = "worker"
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.worker.arn
  launch_type     = "FARGATE"
  desired_count   = var.scaling.min_tasks
  propagate_tags  = "SERVICE"

  enable_ecs_managed_tags = true

  # New tasks come first; old ones go as their calls end.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 60

  # Tasks with calls are protected and can hold a deployment open for as long as the longest call. Terraform doesn't wait.
  wait_for_steady_state = false

  # Rebalancing would stop healthy tasks for the sake of symmetry.
  availability_zone_rebalancing = "DISABLED"

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = aws_subnet.public[*].id
    security_groups  = [aws_security_group.task.id]
    assign_public_ip = true
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = "worker"
    container_port   = local.port
  }

  depends_on = [
    aws_lb_listener_rule.worker,
    aws_route.out,
    aws_route_table_association.public,
    aws_secretsmanager_secret_version.worker,
    aws_vpc_security_group_egress_rule.task_https,
  ]

  lifecycle {
    ignore_changes = [desired_count] # the autoscaler's
  }
}
