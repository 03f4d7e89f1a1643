# What must exist before the regions can: a registry for the worker's image and a bucket for Terraform's state.
# Applied once, by hand, with a local state that nothing else needs.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

variable "project" {
  description = "The same as in the parent folder."
  type        = string
  nullable    = false
  default     = "repartee"
}

variable "aws_region" {
  description = "Where the image and the state are kept."
  type        = string
  nullable    = false
  default     = "us-east-1"
}

provider "aws" {
  region = var.aws_region

  default_tags {
    tags = { project = var.project, managed-by = "terraform" }
  }
}

data "aws_caller_identity" "current" {}

resource "aws_ecr_repository" "worker" {
  region               = var.aws_region
  name                 = var.project
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "worker" {
  region     = var.aws_region
  repository = aws_ecr_repository.worker.name

  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Keep the last 30 images: enough to roll back to"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 30 }
      action       = { type = "expire" }
    }]
  })
}

# Every region pulls the image from a registry of its own: losing this one keeps no other from starting tasks.
locals {
  regions = toset([for region in jsondecode(file("${path.module}/../../infra/regions.json")).regions : region.aws_region if region.enabled])
  mirrors = setsubtract(local.regions, [var.aws_region])
}

resource "aws_ecr_replication_configuration" "mirrors" {
  count  = length(local.mirrors) == 0 ? 0 : 1
  region = var.aws_region

  replication_configuration {
    rule {
      dynamic "destination" {
        for_each = local.mirrors

        content {
          region      = destination.value
          registry_id = data.aws_caller_identity.current.account_id
        }
      }

      repository_filter {
        filter      = var.project
        filter_type = "PREFIX_MATCH"
      }
    }
  }
}

resource "aws_s3_bucket" "state" {
  region = var.aws_region
  bucket = "${var.project}-state-${data.aws_caller_identity.current.account_id}"
}

resource "aws_s3_bucket_versioning" "state" {
  region = var.aws_region
  bucket = aws_s3_bucket.state.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "state" {
  region                  = var.aws_region
  bucket                  = aws_s3_bucket.state.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

output "image_repository" {
  description = "Push the worker's image here."
  value       = aws_ecr_repository.worker.repository_url
}

output "state_bucket" {
  description = "For backend.tf."
  value       = aws_s3_bucket.state.bucket
}
