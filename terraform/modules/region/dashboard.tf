# Where a region's time went: the percentiles of plain turns and of their stages, from what the workers publish.

locals {
  # The stages of a turn that waits for no tool, as the workers name their metrics; "model" is speech to speech.
  stages = ["EndOfTurnMs", "LlmMs", "ModelMs", "ChunkMs", "TtsMs", "HoldMs", "LeadInMs"]

  percentiles = ["p50", "p90", "p99"]

  latency_widgets = [
    for place, metric in concat(["VoiceToVoiceMs"], local.stages) : {
      type   = "metric"
      x      = 12 * (place % 2)
      y      = 6 * floor(place / 2)
      width  = 12
      height = 6
      properties = {
        title  = metric
        region = local.region
        view   = "timeSeries"
        period = 300
        metrics = [
          for percentile in local.percentiles :
          [local.metrics.namespace, metric, "Region", local.metrics.dimensions.Region, "Service", local.metrics.dimensions.Service, { stat = percentile, label = percentile }]
        ]
        annotations = metric == "VoiceToVoiceMs" ? { horizontal = [{ label = "budget", value = var.alarms.p90_ms }] } : { horizontal = [] }
      }
    }
  ]
}

resource "aws_cloudwatch_dashboard" "latency" {
  region         = local.region
  dashboard_name = "${local.name}-latency"
  dashboard_body = jsonencode({ widgets = local.latency_widgets })
}
