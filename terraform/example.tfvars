# Copy to terraform.tfvars and fill in. The regions themselves are in infra/regions.json; secrets come from TF_VAR_secrets.

zone_name             = "example.com"
cloudflare_zone_id    = "0123456789abcdef0123456789abcdef"
cloudflare_account_id = "fedcba9876543210fedcba9876543210"

image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/repartee:0.1.0"

task = {
  cpu        = 1024 # 1 vCPU
  memory_mib = 2048
  slots      = 50 # calls at once; measure with `repartee bench density` before raising it
}

scaling = {
  arrivals_per_s  = 0.15 # new calls per second, per region, at its busiest
  target_used_pct = 60
}

worker_environment = {
  REPARTEE_STT = "flux"

  # Workers tell the edge how loaded they are; without it the edge learns that only when a worker refuses a call.
  # REPARTEE_EDGE_URL    = "https://voice.example.com"
  # REPARTEE_HEARTBEAT_S = "30" # each is one write to the edge's KV namespace
}

alarms = {
  email            = "on-call@example.com"
  p90_ms           = 500
  unanswered_turns = 1
}
