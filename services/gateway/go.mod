module github.com/docmill/docmill/services/gateway

go 1.26.0

replace (
	github.com/docmill/docmill/devstack => ../../devstack
	github.com/docmill/docmill/platform => ../../platform
	github.com/docmill/docmill/proto => ../../proto
)
