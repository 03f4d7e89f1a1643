# What the edge needs from Cloudflare, short of the Worker itself: that is wrangler's, and two owners would undo each
# other's deploys.

# Unproxied: the proxy cuts a socket that is idle for about 100 s, and would be a second hop for the edge's own traffic.
resource "cloudflare_dns_record" "region" {
  for_each = module.fleet.regions

  zone_id = var.cloudflare_zone_id
  name    = each.value.host
  type    = "CNAME"
  content = module.region[each.key].balancer_dns_name
  ttl     = 60
  proxied = false
  comment = "${var.project} region ${each.key}"
}

# What the regions reported and the edge's probes found: the binding REPORTS in wrangler.toml.
resource "cloudflare_workers_kv_namespace" "reports" {
  account_id = var.cloudflare_account_id
  title      = "${var.project}-reports"
}
