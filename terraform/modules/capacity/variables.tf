variable "capacity" {
  description = "Calls at once that the region is built for."
  type        = number
  nullable    = false

  validation {
    condition     = var.capacity >= 1
    error_message = "capacity is the number of calls at once that a region is built for, at least 1; it is ${var.capacity}."
  }
}

variable "slots_per_task" {
  description = "Calls at once that one task takes (REPARTEE_MAX_CALLS)."
  type        = number
  nullable    = false

  validation {
    condition     = var.slots_per_task >= 1 && floor(var.slots_per_task) == var.slots_per_task
    error_message = "slots_per_task is a whole number of calls, at least 1; it is ${var.slots_per_task}."
  }
}

variable "arrivals_per_s" {
  description = "New calls per second at a region's busiest minute."
  type        = number
  nullable    = false

  validation {
    condition     = var.arrivals_per_s >= 0
    error_message = "arrivals_per_s is a rate of new calls, 0 or more; it is ${var.arrivals_per_s}."
  }
}

variable "target_used_pct" {
  description = "CallSlotsUsedPct that target tracking holds."
  type        = number
  nullable    = false
  default     = 60

  validation {
    condition     = var.target_used_pct >= 10 && var.target_used_pct <= 90
    error_message = "target_used_pct lies between 10 and 90: above 90 a burst is refused before a task can start. It is ${var.target_used_pct}."
  }
}

variable "metric_lag_s" {
  description = "Seconds from a region filling up to the autoscaler acting: the tasks publish every 60 s, and target tracking waits for three such points."
  type        = number
  nullable    = false
  default     = 180
}

variable "task_start_s" {
  description = "Seconds from the autoscaler's decision to a task that takes calls: image pull, start, warm pools, health checks."
  type        = number
  nullable    = false
  default     = 60
}
