package message_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
)

func TestMalformedDeliveries(t *testing.T) {
	t.Parallel()
	const known = "docmill.conversion.v1.ConversionStarted"
	for name, e := range map[string]message.Envelope{
		"unknown type":         {ContentType: message.ContentType, Type: "docmill.conversion.v9.FromTheFuture"},
		"no type":              {ContentType: message.ContentType},
		"another content type": {ContentType: "application/json", Type: known, Body: []byte("{}")},
		"an invalid body":      {ContentType: message.ContentType, Type: known, Body: []byte{0xff}},
	} {
		d := message.Delivery{Envelope: e}
		_, err := d.Message()
		require.ErrorIs(t, err, message.ErrMalformed, name)
	}
	empty := message.Delivery{Envelope: message.Envelope{ContentType: message.ContentType, Type: known}}
	_, err := empty.Message()
	require.NoError(t, err)
}
