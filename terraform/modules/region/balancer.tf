# The load balancer: TLS ends here, WebSockets pass through.

resource "aws_lb" "this" {
  region                     = local.region
  name                       = local.name
  load_balancer_type         = "application"
  subnets                    = aws_subnet.public[*].id
  security_groups            = [aws_security_group.balancer.id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection

  # The worker pings every 20 s, so only a dead socket is ever idle for this long.
  idle_timeout = 300
}

resource "aws_lb_target_group" "this" {
  region      = local.region
  name        = local.name
  target_type = "ip"
  vpc_id      = aws_vpc.this.id
  port        = local.port
  protocol    = "HTTP"

  # A new call goes where the fewest are.
  load_balancing_algorithm_type = "least_outstanding_requests"

  # The longest that a deregistered task may finish its calls in (an hour is the maximum). ECS sends SIGTERM only
  # once the target is unused, so most calls end by themselves before the worker has to drain.
  deregistration_delay = 3600

  # ECS kills a task that fails these checks, calls and all. A busy event loop for a few seconds must not be enough.
  health_check {
    path                = "/readyz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 6
  }
}

resource "aws_lb_listener" "https" {
  region            = local.region
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  # Whatever isn't listed below: above all /metrics, which is nobody's business outside.
  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "Nothing is here. Sessions are at /v1/voice/session."
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "worker" {
  region       = local.region
  listener_arn = aws_lb_listener.https.arn
  priority     = 1

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }

  condition {
    path_pattern {
      values = ["/", "/page/*", "/v1/*", "/healthz", "/readyz"]
    }
  }
}
