module github.com/docmill/docmill/client

go 1.26.0

require github.com/tmaxmax/go-sse v0.11.0

require (
	github.com/stretchr/testify v1.12.1
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
