variable "project" {
  description = "Prefix of every name and the first tag."
  type        = string
  nullable    = false
}

variable "region" {
  description = "One region, as the fleet module puts it out."
  nullable    = false
  type = object({
    name                 = string
    aws_region           = string
    provider_environment = map(string)
  })
}

variable "certificate_arn" {
  description = "A validated certificate for the region's host, in the same AWS region."
  type        = string
  nullable    = false
}

variable "execution_role_arn" {
  description = "What ECS uses to start a task: pull the image, read the secret, write logs."
  type        = string
  nullable    = false
}

variable "task_role_arn" {
  description = "What the worker itself may do: protect its own task from scale-in."
  type        = string
  nullable    = false
}

variable "task" {
  description = "The worker's container: image, size, slots, settings."
  nullable    = false
  type = object({
    image       = string
    cpu         = number # CPU units, 1,024 to a vCPU
    memory_mib  = number
    slots       = number # calls at once, REPARTEE_MAX_CALLS
    environment = map(string)
  })
}

variable "webrtc" {
  description = "WebRTC: the workers' port for UDP and ICE-TCP, and the STUN server (host:port) that tells each its public address."
  nullable    = false
  type = object({
    port = number
    stun = string
  })
}

variable "secret_names" {
  description = "Environment variables that come out of the region's secret."
  type        = set(string)
  nullable    = false
}

variable "secrets" {
  description = "Values by name. Ephemeral: they reach Secrets Manager and nothing else, neither state nor plan."
  type        = map(string)
  nullable    = false
  ephemeral   = true
  sensitive   = true
}

variable "secrets_version" {
  description = "Raise it to write the secrets anew and to roll the tasks over to them."
  type        = number
  nullable    = false
}

variable "scaling" {
  description = "Tasks and the target that the autoscaler holds, as the capacity module works them out."
  nullable    = false
  type = object({
    min_tasks       = number
    max_tasks       = number
    target_used_pct = number
  })
}

variable "alarms" {
  description = "Thresholds and the address that hears of them (null: nobody)."
  nullable    = false
  type = object({
    email            = string
    p90_ms           = number
    unanswered_turns = number # in five minutes
  })
}

variable "vpc_cidr" {
  description = "The region's private network. Regions are not peered, so all may use the same range."
  type        = string
  nullable    = false
}

variable "scrape_from_vpc" {
  description = "Whether whatever runs inside the VPC reaches the workers' port, for a Prometheus that scrapes /metrics."
  type        = bool
  nullable    = false
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps the workers' logs."
  type        = number
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether the load balancer refuses to be deleted."
  type        = bool
  nullable    = false
}
