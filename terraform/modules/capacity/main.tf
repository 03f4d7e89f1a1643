# How many tasks a region runs, and why. Pure arithmetic: no provider, no resource.
#
# A new task helps only after the metric has shown the need (metric_lag_s) and the task has started (task_start_s).
# Until then arriving calls fill the slots that are free, so the floor keeps that many free slots in an idle region.

terraform {
  required_version = ">= 1.11"
}

locals {
  reaction_s  = var.metric_lag_s + var.task_start_s
  spare_slots = ceil(var.arrivals_per_s * local.reaction_s)

  # Never one task alone: a region outlives the loss of one task, or of one availability zone.
  min_tasks = max(2, ceil(local.spare_slots / var.slots_per_task))

  # At capacity, tasks stand at the target and not at 100 %, so the ceiling leaves the autoscaler room.
  slots_at_target = var.slots_per_task * var.target_used_pct / 100
  max_tasks       = max(local.min_tasks, ceil(var.capacity / local.slots_at_target))

  # Free slots when the floor stands at the target: what a burst finds just before the first scale-out.
  spare_slots_at_target = floor(local.min_tasks * (var.slots_per_task - local.slots_at_target))
}
