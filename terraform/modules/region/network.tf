# Tasks live in public subnets with public addresses. They accept HTTP from the load balancer and from each other, and from
# callers the media of WebRTC calls, which is answered only to whoever knows a call's password (docs/webrtc.md). A NAT gateway would
# close nothing more, and would charge for every gigabyte of audio that goes to the providers (docs/operations.md).

locals {
  name   = "${var.project}-${var.region.name}"
  region = var.region.aws_region
  port   = 8000
  zones  = slice(data.aws_availability_zones.here.names, 0, 2)
}

data "aws_availability_zones" "here" {
  region = local.region
  state  = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

resource "aws_vpc" "this" {
  region               = local.region
  cidr_block           = var.vpc_cidr
  enable_dns_hostnames = true
  enable_dns_support   = true
  tags                 = { Name = local.name }
}

resource "aws_default_security_group" "closed" {
  region = local.region
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${local.name}-unused" }
}

resource "aws_internet_gateway" "this" {
  region = local.region
  vpc_id = aws_vpc.this.id
  tags   = { Name = local.name }
}

resource "aws_subnet" "public" {
  count = 2

  region            = local.region
  vpc_id            = aws_vpc.this.id
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, count.index)
  availability_zone = local.zones[count.index]
  tags              = { Name = "${local.name}-${count.index}" }

  # A zone that AWS adds later must not move a subnet, and the workers in it.
  lifecycle {
    ignore_changes = [availability_zone]
  }
}

resource "aws_route_table" "public" {
  region = local.region
  vpc_id = aws_vpc.this.id
  tags   = { Name = local.name }
}

resource "aws_route" "out" {
  region                 = local.region
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  count = 2

  region         = local.region
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public.id
}

resource "aws_security_group" "balancer" {
  region      = local.region
  name        = "${local.name}-balancer"
  description = "Callers and the edge to the load balancer"
  vpc_id      = aws_vpc.this.id
  tags        = { Name = "${local.name}-balancer" }
}

resource "aws_vpc_security_group_ingress_rule" "balancer_https" {
  region            = local.region
  security_group_id = aws_security_group.balancer.id
  description       = "HTTPS and WebSockets; a session needs a signed ticket"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "balancer_to_tasks" {
  region                       = local.region
  security_group_id            = aws_security_group.balancer.id
  description                  = "To the workers"
  referenced_security_group_id = aws_security_group.task.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_security_group" "task" {
  region      = local.region
  name        = "${local.name}-task"
  description = "The load balancer to the workers, the workers to the providers"
  vpc_id      = aws_vpc.this.id
  tags        = { Name = "${local.name}-task" }
}

resource "aws_vpc_security_group_ingress_rule" "task_from_balancer" {
  region                       = local.region
  security_group_id            = aws_security_group.task.id
  description                  = "Sessions and health checks from the load balancer"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_ingress_rule" "task_webrtc" {
  for_each = toset(["udp", "tcp"])

  region            = local.region
  security_group_id = aws_security_group.task.id
  description       = "Media of WebRTC calls from callers (${each.key == "udp" ? "UDP" : "ICE-TCP"})"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = each.key
  from_port         = var.webrtc.port
  to_port           = var.webrtc.port
}

resource "aws_vpc_security_group_ingress_rule" "task_from_tasks" {
  region                       = local.region
  security_group_id            = aws_security_group.task.id
  description                  = "What belongs to a WebRTC call and arrived at another worker"
  referenced_security_group_id = aws_security_group.task.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_ingress_rule" "task_metrics" {
  count = var.scrape_from_vpc ? 1 : 0

  region            = local.region
  security_group_id = aws_security_group.task.id
  description       = "/metrics for a Prometheus inside the VPC"
  cidr_ipv4         = aws_vpc.this.cidr_block
  from_port         = local.port
  to_port           = local.port
  ip_protocol       = "tcp"
}

resource "aws_vpc_security_group_egress_rule" "task_to_tasks" {
  region                       = local.region
  security_group_id            = aws_security_group.task.id
  description                  = "The same, on its way out"
  referenced_security_group_id = aws_security_group.task.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_egress_rule" "task_stun" {
  region            = local.region
  security_group_id = aws_security_group.task.id
  description       = "The STUN server that tells a worker its public address"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "udp"
  from_port         = tonumber(split(":", var.webrtc.stun)[1])
  to_port           = tonumber(split(":", var.webrtc.stun)[1])
}

resource "aws_vpc_security_group_egress_rule" "task_https" {
  region            = local.region
  security_group_id = aws_security_group.task.id
  description       = "Providers, image registry, secrets, logs, the edge"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
