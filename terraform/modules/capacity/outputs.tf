output "min_tasks" {
  description = "Tasks that always run: max(2, ceil(spare slots / slots per task))."
  value       = local.min_tasks
}

output "max_tasks" {
  description = "Tasks at capacity with every task at the target."
  value       = local.max_tasks
}

output "spare_slots" {
  description = "Slots that arriving calls fill before a new task can help: arrivals per second × (metric lag + start time)."
  value       = local.spare_slots
}

output "spare_slots_at_target" {
  description = "Free slots when the floor stands at the target."
  value       = local.spare_slots_at_target
}

output "refuses_bursts" {
  description = "True where a burst at the target fills the floor before a new task has started. The edge then sends callers to the next region."
  value       = local.spare_slots_at_target < local.spare_slots
}
