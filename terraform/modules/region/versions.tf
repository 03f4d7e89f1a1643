# One region on AWS. It knows nothing of the other regions, of Cloudflare or of IAM: certificate and roles are handed in.
# Every regional resource names its region; one that forgot would land silently in the provider's home region.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}
