terraform {
  required_version = ">= 1.11" # write-only arguments: secrets stay out of the state

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0" # 6.0 brought the region argument that the modules build on
    }
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "~> 5.0"
    }
  }
}

# The home region holds nothing: every regional resource names its own (tests/infra/terraform lints it).
provider "aws" {
  region = var.home_region

  default_tags {
    tags = merge({ project = var.project, managed-by = "terraform" }, var.tags)
  }
}

# Reads CLOUDFLARE_API_TOKEN: Zone.DNS edit on the zone, Workers KV Storage edit on the account.
provider "cloudflare" {}
