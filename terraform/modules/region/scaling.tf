# Target tracking on the share of call slots in use: what is scarce is slots, not CPU.

resource "aws_appautoscaling_target" "worker" {
  region             = local.region
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.worker.name}"
  min_capacity       = var.scaling.min_tasks
  max_capacity       = var.scaling.max_tasks
}

resource "aws_appautoscaling_policy" "slots" {
  region             = local.region
  name               = "${local.name}-slots"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.worker.service_namespace
  scalable_dimension = aws_appautoscaling_target.worker.scalable_dimension
  resource_id        = aws_appautoscaling_target.worker.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.scaling.target_used_pct
    scale_out_cooldown = 30
    scale_in_cooldown  = 600

    customized_metric_specification {
      namespace   = local.metrics.namespace
      metric_name = "CallSlotsUsedPct"
      statistic   = "Average"

      dimensions {
        name  = "Region"
        value = local.metrics.dimensions.Region
      }

      dimensions {
        name  = "Service"
        value = local.metrics.dimensions.Service
      }
    }
  }
}
