output "balancer_dns_name" {
  description = "Where the region's host points."
  value       = aws_lb.this.dns_name
}

output "cluster" {
  description = "The ECS cluster's name, for the commands in docs/operations.md."
  value       = aws_ecs_cluster.this.name
}

output "log_group" {
  description = "The workers' log group."
  value       = aws_cloudwatch_log_group.worker.name
}

output "task_definition" {
  description = "The revision that the service was last given."
  value       = aws_ecs_task_definition.worker.arn
}
