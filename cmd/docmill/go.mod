module github.com/docmill/docmill/cmd/docmill

go 1.26.0

replace (
	github.com/docmill/docmill/contract => ../../contract
	github.com/docmill/docmill/devstack => ../../devstack
	github.com/docmill/docmill/platform => ../../platform
	github.com/docmill/docmill/proto => ../../proto
	github.com/docmill/docmill/services/converter => ../../services/converter
	github.com/docmill/docmill/services/gateway => ../../services/gateway
	github.com/docmill/docmill/services/status => ../../services/status
)
