package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// Map is a JSON object whose members keep their order, in which people read the document. It is for a few members.
type Map[V any] []Entry[V]

// Entry is a member of a [Map].
type Entry[V any] struct {
	Name  string
	Value V
}

// Get returns the value of a member.
func (m Map[V]) Get(name string) (V, bool) {
	if i := m.index(name); i >= 0 {
		return m[i].Value, true
	}
	var none V
	return none, false
}

// Set adds a member, or replaces its value.
func (m *Map[V]) Set(name string, value V) {
	if i := m.index(name); i >= 0 {
		(*m)[i].Value = value
		return
	}
	*m = append(*m, Entry[V]{name, value})
}

func (m Map[V]) index(name string) int {
	return slices.IndexFunc(m, func(e Entry[V]) bool { return e.Name == name })
}

// MarshalJSON implements json.Marshaler.
func (m Map[V]) MarshalJSON() ([]byte, error) {
	var object bytes.Buffer
	object.WriteByte('{')
	for i, entry := range m {
		if i > 0 {
			object.WriteByte(',')
		}
		name, err := json.Marshal(entry.Name)
		if err != nil {
			return nil, fmt.Errorf("encode the name %q: %w", entry.Name, err)
		}
		value, err := json.Marshal(entry.Value)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", entry.Name, err)
		}
		object.Write(name)
		object.WriteByte(':')
		object.Write(value)
	}
	object.WriteByte('}')
	return object.Bytes(), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Map[V]) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil { // the opening brace
		return fmt.Errorf("decode an object: %w", err)
	}
	*m = nil
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("decode the name of a member: %w", err)
		}
		var value V
		if err := decoder.Decode(&value); err != nil {
			return fmt.Errorf("decode %v: %w", name, err)
		}
		*m = append(*m, Entry[V]{fmt.Sprint(name), value})
	}
	return nil
}
