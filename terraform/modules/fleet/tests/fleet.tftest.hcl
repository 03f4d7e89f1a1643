# The table as shipped, and every way in which it can be wrong.

run "the_table_as_shipped" {
  command = plan

  variables {
    zone_name = "example.com"
    regions   = jsondecode(file("../../../infra/regions.json")).regions
  }

  assert {
    condition     = join(" ", sort(keys(output.regions))) == "eu-west us-east"
    error_message = "Built: ${join(" ", keys(output.regions))}"
  }

  assert {
    condition     = output.regions["us-east"].session_url == "wss://us-east.voice.example.com/v1/voice/session"
    error_message = output.regions["us-east"].session_url
  }
}

run "only_enabled_regions_are_built" {
  command = plan

  variables {
    zone_name = "example.com"
    regions = [
      { name = "us-east", aws_region = "us-east-1", latitude = 38.9, longitude = -77.5, host = "us-east.voice.example.com", enabled = true, capacity = 200 },
      { name = "eu-west", aws_region = "eu-west-1", latitude = 38.9, longitude = -77.5, host = "eu-west.voice.example.com", enabled = false, capacity = 200 },
    ]
  }

  assert {
    condition     = join(" ", keys(output.regions)) == "us-east"
    error_message = "Built: ${join(" ", keys(output.regions))}"
  }
}

run "a_region_may_pin_the_nearest_endpoint" {
  command = plan

  variables {
    zone_name = "example.com"
    regions = [
      { name = "eu-west", aws_region = "eu-west-1", latitude = 38.9, longitude = -77.5, host = "eu-west.voice.example.com", enabled = true, capacity = 200, providers = { deepgram = "https://api.eu.deepgram.com/" } },
    ]
  }

  assert {
    condition     = output.regions["eu-west"].provider_environment == tomap({ DEEPGRAM_BASE_URL = "https://api.eu.deepgram.com" })
    error_message = jsonencode(output.regions["eu-west"].provider_environment)
  }
}

run "a_table_without_an_enabled_region_is_refused" {
  command = plan

  variables {
    zone_name = "example.com"
    regions = [
      { name = "us-east", aws_region = "us-east-1", latitude = 38.9, longitude = -77.5, host = "us-east.voice.example.com", enabled = false, capacity = 200 },
    ]
  }

  expect_failures = [var.regions]
}

run "two_regions_of_one_name_are_refused" {
  command = plan

  variables {
    zone_name = "example.com"
    regions = [
      { name = "us-east", aws_region = "us-east-1", latitude = 38.9, longitude = -77.5, host = "us-east.voice.example.com", enabled = true, capacity = 200 },
      { name = "us-east", aws_region = "us-east-1", latitude = 38.9, longitude = -77.5, host = "other.example.com", enabled = true, capacity = 200 },
    ]
  }

  expect_failures = [var.regions]
}

run "two_regions_on_one_host_are_refused" {
  command = plan

  variables {
    zone_name = "example.com"
    regions = [
      { name = "us-east", aws_region = "us-east-1", latitude = 38.9, longitude = -77.5, host = "us-east.voice.example.com", enabled = true, capacity = 200 },
      { name = "us-west", aws_region = "us-west-2", latitude = 38.9, longitude = -77.5, host = "us-east.voice.example.com", enabled = true, capacity = 200 },
    ]
  }

  expect_failures = [var.regions]
}

run "a_name_that_aws_would_refuse_is_refused" {
  command = plan

  variables {
    zone_name = "example.com"
    regions = [
      { name = "US_East", aws_region = "us-east-1", latitude = 38.9, longitude = -77.5, host = "us-east.example.com", enabled = true, capacity = 200 },
    ]
  }

  expect_failures = [var.regions]
}

run "a_name_too_long_for_a_load_balancer_is_refused" {
  command = plan

  variables {
    zone_name = "example.com"
    regions = [
      { name = "a-name-of-twenty-one-x", aws_region = "us-east-1", latitude = 38.9, longitude = -77.5, host = "a-name-of-twenty-one-x.voice.example.com", enabled = true, capacity = 200 },
    ]
  }

  expect_failures = [var.regions]
}

run "a_zone_in_place_of_a_region_is_refused" {
  command = plan

  variables {
    zone_name = "example.com"
    regions = [
      { name = "us-east", aws_region = "us-east-1a", latitude = 38.9, longitude = -77.5, host = "us-east.voice.example.com", enabled = true, capacity = 200 },
    ]
  }

  expect_failures = [var.regions]
}

run "a_position_off_the_globe_is_refused" {
  command = plan

  variables {
    zone_name = "example.com"
    regions = [
      { name = "us-east", aws_region = "us-east-1", latitude = 138.9, longitude = -77.5, host = "us-east.voice.example.com", enabled = true, capacity = 200 },
    ]
  }

  expect_failures = [var.regions]
}

run "half_a_call_of_capacity_is_refused" {
  command = plan

  variables {
    zone_name = "example.com"
    regions = [
      { name = "us-east", aws_region = "us-east-1", latitude = 38.9, longitude = -77.5, host = "us-east.voice.example.com", enabled = true, capacity = 0.5 },
    ]
  }

  expect_failures = [var.regions]
}

run "an_unknown_provider_is_refused" {
  command = plan

  variables {
    zone_name = "example.com"
    regions = [
      { name = "us-east", aws_region = "us-east-1", latitude = 38.9, longitude = -77.5, host = "us-east.voice.example.com", enabled = true, capacity = 200, providers = { acme = "https://acme.example" } },
    ]
  }

  expect_failures = [var.regions]
}

run "a_plain_http_endpoint_is_refused" {
  command = plan

  variables {
    zone_name = "example.com"
    regions = [
      { name = "us-east", aws_region = "us-east-1", latitude = 38.9, longitude = -77.5, host = "us-east.voice.example.com", enabled = true, capacity = 200, providers = { openai = "http://api.example/v1" } },
    ]
  }

  expect_failures = [var.regions]
}

run "a_host_outside_the_zone_is_refused" {
  command = plan

  variables {
    zone_name = "example.org"
    regions = [
      { name = "us-east", aws_region = "us-east-1", latitude = 38.9, longitude = -77.5, host = "us-east.voice.example.com", enabled = true, capacity = 200 },
    ]
  }

  expect_failures = [var.zone_name]
}

run "a_url_in_place_of_a_zone_is_refused" {
  command = plan

  variables {
    zone_name = "https://example.com"
    regions = [
      { name = "us-east", aws_region = "us-east-1", latitude = 38.9, longitude = -77.5, host = "us-east.voice.example.com", enabled = true, capacity = 200 },
    ]
  }

  expect_failures = [var.zone_name]
}
