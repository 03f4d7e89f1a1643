# Which regions to build, out of infra/regions.json. Pure: no provider, no resource. Every fault in the table is
# reported here, before anything is created.

terraform {
  required_version = ">= 1.11"
}

locals {
  enabled = { for region in var.regions : region.name => region if region.enabled }

  # DEEPGRAM_BASE_URL and so on: what points a worker's SDKs at the endpoint nearest to its region.
  provider_environment = {
    for name, region in local.enabled : name => tomap({
      for vendor, url in region.providers : "${upper(vendor)}_BASE_URL" => trimsuffix(url, "/")
    })
  }
}
