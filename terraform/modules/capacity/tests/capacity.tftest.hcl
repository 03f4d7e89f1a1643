run "a_quiet_region_still_runs_two_tasks" {
  command = plan

  variables {
    capacity       = 10
    slots_per_task = 50
    arrivals_per_s = 0
  }

  assert {
    condition     = output.min_tasks == 2 && output.max_tasks == 2 && output.spare_slots == 0
    error_message = "min ${output.min_tasks}, max ${output.max_tasks}, spare ${output.spare_slots}"
  }
}

run "the_floor_holds_what_arrives_before_a_task_can_help" {
  command = plan

  variables {
    capacity       = 1000
    slots_per_task = 50
    arrivals_per_s = 1
    metric_lag_s   = 180
    task_start_s   = 60
  }

  # 1 call/s × 240 s = 240 slots = 4.8 tasks of 50.
  assert {
    condition     = output.spare_slots == 240 && output.min_tasks == 5
    error_message = "min ${output.min_tasks}, spare ${output.spare_slots}"
  }

  # 1,000 calls at 60 % of 50 slots = 33.3 tasks.
  assert {
    condition     = output.max_tasks == 34
    error_message = "max ${output.max_tasks}"
  }

  # 5 tasks × 20 free slots = 100, fewer than the 240 that a burst needs.
  assert {
    condition     = output.spare_slots_at_target == 100 && output.refuses_bursts
    error_message = "spare at the target ${output.spare_slots_at_target}"
  }
}

run "a_floor_with_room_refuses_nobody" {
  command = plan

  variables {
    capacity       = 200
    slots_per_task = 50
    arrivals_per_s = 0.15
  }

  # 0.15 × 240 = 36 slots; two tasks at 60 % have 40 free.
  assert {
    condition     = output.spare_slots == 36 && output.spare_slots_at_target == 40 && !output.refuses_bursts
    error_message = "spare ${output.spare_slots}, at the target ${output.spare_slots_at_target}"
  }

  assert {
    condition     = output.min_tasks == 2 && output.max_tasks == 7
    error_message = "min ${output.min_tasks}, max ${output.max_tasks}"
  }
}

run "the_ceiling_is_never_below_the_floor" {
  command = plan

  variables {
    capacity       = 1
    slots_per_task = 10
    arrivals_per_s = 1
  }

  assert {
    condition     = output.min_tasks == 24 && output.max_tasks == 24
    error_message = "min ${output.min_tasks}, max ${output.max_tasks}"
  }
}

run "a_target_without_room_is_refused" {
  command = plan

  variables {
    capacity        = 10
    slots_per_task  = 10
    arrivals_per_s  = 1
    target_used_pct = 95
  }

  expect_failures = [var.target_used_pct]
}

run "slots_are_whole_calls" {
  command = plan

  variables {
    capacity       = 10
    slots_per_task = 2.5
    arrivals_per_s = 1
  }

  expect_failures = [var.slots_per_task]
}

run "a_capacity_of_nothing_is_refused" {
  command = plan

  variables {
    capacity       = 0
    slots_per_task = 10
    arrivals_per_s = 1
  }

  expect_failures = [var.capacity]
}
