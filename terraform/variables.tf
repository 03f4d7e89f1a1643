variable "project" {
  description = "Prefix of every name in the account."
  type        = string
  nullable    = false
  default     = "repartee"

  # With a region's name of up to 19 characters and a hyphen, 32 is what a load balancer's name may have.
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,10}[a-z0-9]$", var.project))
    error_message = "project is 2 to 12 lower-case letters, digits and hyphens; it is \"${var.project}\"."
  }
}

variable "home_region" {
  description = "The AWS region of the provider itself. Nothing is built in it unless infra/regions.json says so."
  type        = string
  nullable    = false
  default     = "us-east-1"
}

variable "zone_name" {
  description = "The Cloudflare zone that holds the regions' hosts, e.g. example.com."
  type        = string
  nullable    = false
}

variable "cloudflare_zone_id" {
  description = "The zone's ID, from its overview page in the Cloudflare dashboard."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.cloudflare_zone_id))
    error_message = "cloudflare_zone_id is 32 hexadecimal digits, from the zone's overview page; it is \"${var.cloudflare_zone_id}\"."
  }
}

variable "cloudflare_account_id" {
  description = "The Cloudflare account's ID, from the same page."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.cloudflare_account_id))
    error_message = "cloudflare_account_id is 32 hexadecimal digits, from the zone's overview page; it is \"${var.cloudflare_account_id}\"."
  }
}

variable "image" {
  description = "The worker's image for arm64, by tag or, better, by digest. \"latest\" is refused: a rollback could not name what ran before."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9._-]*)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "image ends in a digest (@sha256:…) or in a tag other than latest; it is \"${var.image}\"."
  }
}

variable "task" {
  description = "One task: CPU units (1,024 to a vCPU), memory, and the calls at once that it takes (REPARTEE_MAX_CALLS)."
  nullable    = false
  default     = {}
  type = object({
    cpu        = optional(number, 1024)
    memory_mib = optional(number, 2048)
    slots      = optional(number, 50)
  })

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.task.cpu)
    error_message = "task.cpu is a size that Fargate has: 256, 512, 1024, 2048, 4096, 8192 or 16384; it is ${var.task.cpu}."
  }

  validation {
    condition     = var.task.memory_mib >= 2 * var.task.cpu && var.task.memory_mib <= 8 * var.task.cpu
    error_message = "task.memory_mib lies between 2 and 8 MiB per CPU unit on Fargate, here ${2 * var.task.cpu} to ${8 * var.task.cpu}; it is ${var.task.memory_mib}."
  }

  validation {
    condition     = var.task.slots >= 1 && floor(var.task.slots) == var.task.slots
    error_message = "task.slots is a whole number of calls, at least 1; it is ${var.task.slots}."
  }
}

variable "scaling" {
  description = "Load per region at its busiest, and how fast the fleet follows. See modules/capacity."
  nullable    = false
  default     = {}
  type = object({
    arrivals_per_s  = optional(number, 0.15)
    target_used_pct = optional(number, 60)
    metric_lag_s    = optional(number, 180)
    task_start_s    = optional(number, 60)
  })
}

variable "worker_environment" {
  description = "Further settings of the worker, e.g. REPARTEE_STT, REPARTEE_AGENT. No secrets: these are readable in the task definition."
  type        = map(string)
  nullable    = false
  default     = {}

  validation {
    condition     = !anytrue([for name in keys(var.worker_environment) : endswith(name, "_API_KEY") || strcontains(name, "TICKET_KEY") || can(regex("_(AUTH_TOKEN|API_TOKEN|PRIVATE_KEY|SIGNING_KEY|SIGNATURE_SECRET|CREDENTIALS)$", name))])
    error_message = "Keys belong in the variable secrets, not in worker_environment: ${join(", ", [for name in keys(var.worker_environment) : name if endswith(name, "_API_KEY") || strcontains(name, "TICKET_KEY") || can(regex("_(AUTH_TOKEN|API_TOKEN|PRIVATE_KEY|SIGNING_KEY|SIGNATURE_SECRET|CREDENTIALS)$", name))])}."
  }

  validation {
    condition     = !anytrue([for name in keys(var.worker_environment) : contains(["REPARTEE_REGION", "REPARTEE_MAX_CALLS", "REPARTEE_DRAIN_S", "REPARTEE_CLOUDWATCH", "REPARTEE_WEBRTC_PORT", "REPARTEE_WEBRTC_STUN", "REPARTEE_WORKER_ADDRESS"], name)])
    error_message = "REPARTEE_REGION, REPARTEE_MAX_CALLS, REPARTEE_DRAIN_S, REPARTEE_CLOUDWATCH, REPARTEE_WEBRTC_PORT, REPARTEE_WEBRTC_STUN and REPARTEE_WORKER_ADDRESS follow from infra/regions.json, task.slots, webrtc and the autoscaler's needs: leave them out of worker_environment."
  }
}

variable "webrtc" {
  description = "WebRTC: the workers' port for UDP and ICE-TCP, and the STUN server that tells each its public address."
  nullable    = false
  default     = {}
  type = object({
    port = optional(number, 3478)
    stun = optional(string, "stun.cloudflare.com:3478")
  })

  validation {
    condition     = var.webrtc.port >= 1024 && var.webrtc.port <= 65535 && floor(var.webrtc.port) == var.webrtc.port && var.webrtc.port != 8000
    error_message = "webrtc.port is a port from 1024 on (workers are not root), and not 8000, where their HTTP is; it is ${var.webrtc.port}."
  }

  validation {
    condition     = can(regex("^[A-Za-z0-9.-]+:[0-9]{1,5}$", var.webrtc.stun))
    error_message = "webrtc.stun is host:port, e.g. stun.cloudflare.com:3478; it is \"${var.webrtc.stun}\"."
  }
}

variable "secret_names" {
  description = "Which environment variables of the worker are secret."
  type        = set(string)
  nullable    = false
  default     = ["CARTESIA_API_KEY", "DEEPGRAM_API_KEY", "OPENAI_API_KEY", "REPARTEE_TICKET_KEY"]

  validation {
    condition     = contains(var.secret_names, "REPARTEE_TICKET_KEY")
    error_message = "secret_names must hold REPARTEE_TICKET_KEY: a region without it lets nobody in."
  }
}

variable "secrets" {
  description = "Their values, given as TF_VAR_secrets='{\"DEEPGRAM_API_KEY\":\"…\"}'. Never written to state or plan; needed at every plan and apply."
  type        = map(string)
  nullable    = false
  ephemeral   = true
  sensitive   = true

  validation {
    condition     = alltrue([for name in var.secret_names : length(lookup(var.secrets, name, "")) > 0])
    error_message = "secrets needs a value for each of: ${join(", ", var.secret_names)}. Set TF_VAR_secrets to a JSON object with these names."
  }

  validation {
    condition     = length(lookup(var.secrets, "REPARTEE_TICKET_KEY", "")) >= 32
    error_message = "REPARTEE_TICKET_KEY has at least 32 characters: openssl rand -base64 48."
  }
}

variable "secrets_version" {
  description = "Raise it by one to write changed secrets and roll the tasks over to them."
  type        = number
  nullable    = false
  default     = 1

  validation {
    condition     = var.secrets_version >= 1 && floor(var.secrets_version) == var.secrets_version
    error_message = "secrets_version is a whole number, at least 1; it is ${var.secrets_version}."
  }
}

variable "alarms" {
  description = "Where an alarm begins, and the address that hears of it (AWS asks it to confirm, once per region)."
  nullable    = false
  default     = {}
  type = object({
    email            = optional(string)
    p90_ms           = optional(number, 500)
    unanswered_turns = optional(number, 1)
  })

  validation {
    condition     = var.alarms.email == null || can(regex("^[^@ ]+@[^@ ]+$", var.alarms.email))
    error_message = "alarms.email is an e-mail address, or left out."
  }
}

variable "vpc_cidr" {
  description = "Each region's private network. Regions are not peered, so they share the range."
  type        = string
  nullable    = false
  default     = "10.64.0.0/20"

  validation {
    condition     = can(cidrsubnet(var.vpc_cidr, 4, 1)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 24, false)
    error_message = "vpc_cidr is an IPv4 range between /16 and /24, such as 10.64.0.0/20; it is \"${var.vpc_cidr}\"."
  }
}

variable "scrape_from_vpc" {
  description = "Whether whatever runs inside a region's VPC reaches the workers' port, for a Prometheus that scrapes /metrics. The load balancer never lets it through."
  type        = bool
  nullable    = false
  default     = false
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps the workers' logs."
  type        = number
  nullable    = false
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "log_retention_days is one of the periods that CloudWatch has: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731; it is ${var.log_retention_days}."
  }
}

variable "deletion_protection" {
  description = "Whether the load balancers refuse to be deleted. Set to false, applied, before a region is taken down."
  type        = bool
  nullable    = false
  default     = true
}

variable "tags" {
  description = "Tags on everything that takes them."
  type        = map(string)
  nullable    = false
  default     = {}
}
