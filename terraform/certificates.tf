# One certificate per region, in the region, for its host; proven by a record in the Cloudflare zone.

resource "aws_acm_certificate" "region" {
  for_each = module.fleet.regions

  region            = each.value.aws_region
  domain_name       = each.value.host
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  # One name per certificate, hence one record.
  proofs = { for name, certificate in aws_acm_certificate.region : name => one(certificate.domain_validation_options) }
}

resource "cloudflare_dns_record" "proof" {
  for_each = module.fleet.regions

  zone_id = var.cloudflare_zone_id
  name    = trimsuffix(local.proofs[each.key].resource_record_name, ".")
  type    = local.proofs[each.key].resource_record_type
  content = trimsuffix(local.proofs[each.key].resource_record_value, ".")
  ttl     = 60
  proxied = false
  comment = "Proves ${each.value.host} to AWS; also at each renewal"
}

resource "aws_acm_certificate_validation" "region" {
  for_each = module.fleet.regions

  region                  = each.value.aws_region
  certificate_arn         = aws_acm_certificate.region[each.key].arn
  validation_record_fqdns = [cloudflare_dns_record.proof[each.key].name]
}
