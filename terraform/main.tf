# The enabled regions of infra/regions.json, each through one module, without a provider alias for any of them.
# Enabling a region in that file builds it, disabling destroys it.

module "fleet" {
  source    = "./modules/fleet"
  regions   = jsondecode(file("${path.module}/../infra/regions.json")).regions
  zone_name = var.zone_name
}

module "capacity" {
  source   = "./modules/capacity"
  for_each = module.fleet.regions

  capacity        = each.value.capacity
  slots_per_task  = var.task.slots
  arrivals_per_s  = var.scaling.arrivals_per_s
  target_used_pct = var.scaling.target_used_pct
  metric_lag_s    = var.scaling.metric_lag_s
  task_start_s    = var.scaling.task_start_s
}

# A warning and not an error: the edge sends whom one region refuses to the next.
check "bursts" {
  assert {
    condition     = !anytrue([for capacity in module.capacity : capacity.refuses_bursts])
    error_message = "At ${var.scaling.target_used_pct} % use, a burst of ${var.scaling.arrivals_per_s} calls/s fills the smallest fleet before a new task can help, in: ${join(", ", [for name, capacity in module.capacity : "${name} (${capacity.spare_slots_at_target} slots free, ${capacity.spare_slots} needed)" if capacity.refuses_bursts])}. Lower scaling.target_used_pct or raise task.slots."
  }
}

module "region" {
  source   = "./modules/region"
  for_each = module.fleet.regions

  project = var.project
  region = {
    name       = each.value.name
    aws_region = each.value.aws_region
    # Carriers sign the region's address with the handshakes of telephone calls.
    provider_environment = merge({ REPARTEE_PUBLIC_URL = "https://${each.value.host}" }, each.value.provider_environment)
  }

  certificate_arn    = aws_acm_certificate_validation.region[each.key].certificate_arn
  execution_role_arn = aws_iam_role.execution.arn
  task_role_arn      = aws_iam_role.task.arn

  task = {
    # A registry of one's own has the image in each region (bootstrap/): losing its first one stops no other's tasks.
    image       = replace(var.image, "/[.]dkr[.]ecr[.][a-z0-9-]+[.]amazonaws[.]/", ".dkr.ecr.${each.value.aws_region}.amazonaws.")
    cpu         = var.task.cpu
    memory_mib  = var.task.memory_mib
    slots       = var.task.slots
    environment = var.worker_environment
  }

  webrtc = var.webrtc

  secret_names    = var.secret_names
  secrets         = var.secrets
  secrets_version = var.secrets_version

  scaling = {
    min_tasks       = module.capacity[each.key].min_tasks
    max_tasks       = module.capacity[each.key].max_tasks
    target_used_pct = var.scaling.target_used_pct
  }

  alarms              = var.alarms
  vpc_cidr            = var.vpc_cidr
  scrape_from_vpc     = var.scrape_from_vpc
  log_retention_days  = var.log_retention_days
  deletion_protection = var.deletion_protection
}
