variable "regions" {
  description = "The list under \"regions\" in infra/regions.json."
  nullable    = false
  type = list(object({
    name       = string
    aws_region = string
    latitude   = number
    longitude  = number
    host       = string
    enabled    = bool
    capacity   = number                    # calls at once that the region is built for
    providers  = optional(map(string), {}) # vendor to base URL, where a nearer endpoint than the default exists
  }))

  validation {
    condition     = anytrue([for region in var.regions : region.enabled])
    error_message = "No region is enabled: set \"enabled\": true for at least one region in infra/regions.json."
  }

  validation {
    condition     = length(distinct([for region in var.regions : region.name])) == length(var.regions)
    error_message = "Two regions share a name in infra/regions.json: ${join(", ", [for region in var.regions : region.name])}."
  }

  validation {
    condition     = length(distinct([for region in var.regions : region.host])) == length(var.regions)
    error_message = "Two regions share a host in infra/regions.json: ${join(", ", [for region in var.regions : region.host])}."
  }

  # Names become part of load balancers' names, which AWS limits to 32 characters.
  validation {
    condition     = alltrue([for region in var.regions : can(regex("^[a-z][a-z0-9-]{0,17}[a-z0-9]$", region.name))])
    error_message = "Region names are 2 to 19 lower-case letters, digits and hyphens. Not so: ${join(", ", [for region in var.regions : region.name if !can(regex("^[a-z][a-z0-9-]{0,17}[a-z0-9]$", region.name))])}."
  }

  validation {
    condition     = alltrue([for region in var.regions : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", region.aws_region))])
    error_message = "\"aws_region\" is a region's code such as us-east-1. Not so: ${join(", ", [for region in var.regions : "${region.name} (${region.aws_region})" if !can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", region.aws_region))])}."
  }

  validation {
    condition     = alltrue([for region in var.regions : abs(region.latitude) <= 90 && abs(region.longitude) <= 180])
    error_message = "A position is a latitude within ±90 and a longitude within ±180 degrees. Not so: ${join(", ", [for region in var.regions : region.name if abs(region.latitude) > 90 || abs(region.longitude) > 180])}."
  }

  validation {
    condition     = alltrue([for region in var.regions : region.capacity >= 1 && floor(region.capacity) == region.capacity])
    error_message = "\"capacity\" is a whole number of calls, at least 1. Not so: ${join(", ", [for region in var.regions : region.name if region.capacity < 1 || floor(region.capacity) != region.capacity])}."
  }

  validation {
    condition = alltrue(flatten([for region in var.regions : [
      for vendor, url in region.providers : contains(["deepgram", "openai", "cartesia", "elevenlabs"], vendor)
    ]]))
    error_message = "\"providers\" knows deepgram, openai, cartesia and elevenlabs; infra/regions.json also has ${join(", ", distinct(flatten([for region in var.regions : [for vendor, url in region.providers : vendor if !contains(["deepgram", "openai", "cartesia", "elevenlabs"], vendor)]])))}."
  }

  validation {
    condition     = alltrue(flatten([for region in var.regions : [for vendor, url in region.providers : startswith(url, "https://")]]))
    error_message = "Providers' endpoints begin with https://. Not so: ${join(", ", flatten([for region in var.regions : [for vendor, url in region.providers : "${region.name}: ${url}" if !startswith(url, "https://")]]))}."
  }
}

variable "zone_name" {
  description = "The Cloudflare zone that holds the regions' records, e.g. example.com."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.zone_name))
    error_message = "zone_name is a domain in lower case without a scheme or a trailing dot, such as example.com; it is \"${var.zone_name}\"."
  }

  validation {
    condition     = alltrue([for region in var.regions : endswith(region.host, ".${var.zone_name}") if region.enabled])
    error_message = "Every enabled region's host must lie in the zone ${var.zone_name}: change \"host\" in infra/regions.json, or zone_name. Outside it: ${join(", ", [for region in var.regions : region.host if region.enabled && !endswith(region.host, ".${var.zone_name}")])}."
  }
}
