output "regions" {
  description = "The enabled regions by name."
  value = {
    for name, region in local.enabled : name => {
      name                 = name
      aws_region           = region.aws_region
      host                 = region.host
      capacity             = region.capacity
      provider_environment = local.provider_environment[name]
      session_url          = "wss://${region.host}/v1/voice/session"
    }
  }
}
