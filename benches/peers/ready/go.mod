module local.test/ready

go 1.25.0
