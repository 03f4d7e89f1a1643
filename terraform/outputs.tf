output "regions" {
  description = "Each region's session URL, cluster, log group and current task definition."
  value = {
    for name, region in module.fleet.regions : name => {
      session_url     = region.session_url
      aws_region      = region.aws_region
      cluster         = module.region[name].cluster
      log_group       = module.region[name].log_group
      task_definition = module.region[name].task_definition
      min_tasks       = module.capacity[name].min_tasks
      max_tasks       = module.capacity[name].max_tasks
    }
  }
}

output "edge_regions_json" {
  description = "The regions that now exist, in the form of infra/regions.json: terraform output -raw edge_regions_json."
  value = jsonencode({
    regions = [for region in jsondecode(file("${path.module}/../infra/regions.json")).regions : region if region.enabled]
  })
}

output "edge_kv_namespace_id" {
  description = "The id of the binding REPORTS in wrangler.toml."
  value       = cloudflare_workers_kv_namespace.reports.id
}
