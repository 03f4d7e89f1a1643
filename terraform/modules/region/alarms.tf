# What somebody should be woken for. The workers publish these metrics themselves, in their log (embedded metric format).

locals {
  metrics = {
    namespace  = "Repartee"
    dimensions = { Region = var.region.name, Service = "worker" }
  }

  alarms = {
    slow = {
      metric      = "VoiceToVoiceP90Ms"
      statistic   = "Maximum"
      above       = var.alarms.p90_ms
      of_minutes  = 5
      description = "A worker's P90 from the caller's last word to the agent's first, of turns that wait for no tool, has been over ${var.alarms.p90_ms} ms for five minutes."
    }
    full = {
      metric      = "CallSlotsUsedPct"
      statistic   = "Average"
      above       = 90
      of_minutes  = 5
      description = "Nine slots in ten are taken and the autoscaler has not helped for five minutes: raise the region's capacity."
    }
  }
}

resource "aws_sns_topic" "alarms" {
  region = local.region
  name   = "${local.name}-alarms"
}

resource "aws_sns_topic_subscription" "email" {
  count = var.alarms.email == null ? 0 : 1

  region    = local.region
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarms.email
}

resource "aws_cloudwatch_metric_alarm" "worker" {
  for_each = local.alarms

  region              = local.region
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = local.metrics.namespace
  metric_name         = each.value.metric
  dimensions          = local.metrics.dimensions
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = 60
  evaluation_periods  = each.value.of_minutes
  datapoints_to_alarm = each.value.of_minutes
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "unanswered" {
  region              = local.region
  alarm_name          = "${local.name}-unanswered"
  alarm_description   = "Callers spoke and got no answer: ${var.alarms.unanswered_turns} turns or more in five minutes."
  namespace           = local.metrics.namespace
  metric_name         = "UnansweredTurns"
  dimensions          = local.metrics.dimensions
  statistic           = "Sum"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.alarms.unanswered_turns
  period              = 300
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "unhealthy" {
  region              = local.region
  alarm_name          = "${local.name}-unhealthy"
  alarm_description   = "The load balancer has had fewer than two healthy workers for three minutes."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HealthyHostCount"
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = 2
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  dimensions = {
    LoadBalancer = aws_lb.this.arn_suffix
    TargetGroup  = aws_lb_target_group.this.arn_suffix
  }
}
