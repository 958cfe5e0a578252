// Docmill-converter takes commands to convert documents from RabbitMQ, converts them with LibreOffice and stores the
// results.
package main

import (
	"os"

	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/rabbitmq"
	"github.com/docmill/docmill/platform/s3"
	"github.com/docmill/docmill/platform/seal"
	"github.com/docmill/docmill/platform/service"
	"github.com/docmill/docmill/services/converter"
)

// settings are all settings of the program.
type settings struct {
	service.Settings `embed:""`

	Converter converter.Config `embed:""`

	Broker rabbitmq.Config `embed:"" prefix:"broker-"`
	Store  s3.Config       `embed:"" prefix:"store-"`
	Seal   seal.Config     `embed:""`
}

func main() {
	about := service.About{
		Name:         converter.Name,
		Description:  "Takes commands to convert documents from RabbitMQ, converts them with LibreOffice and stores the results.",
		AdminAddress: "127.0.0.1:8082",
	}
	var s settings
	os.Exit(service.Main(about, &s, config.Process(), os.Stderr, s.assemble))
}

func (s *settings) assemble(process service.Process) (service.Assembly, error) {
	store, err := s3.New(s.Store)
	if err != nil {
		return service.Assembly{}, err
	}
	box, err := seal.New(s.Seal)
	if err != nil {
		return service.Assembly{}, err
	}
	messages, err := rabbitmq.New(s.Broker, converter.Name, process.Log, process.Metrics)
	if err != nil {
		return service.Assembly{}, err
	}
	return converter.New(s.Converter, converter.Deps{
		Messages: messages, Sources: store.Bucket(s.Store.SourcesBucket), Results: store.Bucket(s.Store.ResultsBucket),
		Seal: box, Log: process.Log, Metrics: process.Metrics,
	})
}
