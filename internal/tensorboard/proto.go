package tensorboard

import (
	"encoding/binary"
	"math"
)

// The numbers of fields, from TensorFlow's event.proto, summary.proto,
// tensor.proto and tensor_shape.proto.
const (
	eventWallTime    = 1
	eventStep        = 2
	eventFileVersion = 3
	eventSummary     = 5
	eventSessionLog  = 7

	sessionStatus = 1

	summaryValue  = 1
	valueTag      = 1
	valueSimple   = 2
	valueTensor   = 8
	valueMetadata = 9

	metadataPlugin    = 1
	metadataDataClass = 4
	pluginName        = 1

	tensorType   = 1
	tensorShape  = 2
	tensorString = 8
	shapeDim     = 2
	dimSize      = 1
)

// The values of enumerations.
const (
	sessionStart    = 1
	dataClassTensor = 2
	typeString      = 7
)

// message is a protocol buffer: fields one after the other, each a key and a
// value.
type message []byte

// The kinds of values, which a key says with the field's number.
const (
	kindVarint  = 0
	kindFixed64 = 1
	kindBytes   = 2
	kindFixed32 = 5
)

func (m message) key(field, kind uint64) message { return binary.AppendUvarint(m, field<<3|kind) }

func (m message) varint(field, value uint64) message {
	return binary.AppendUvarint(m.key(field, kindVarint), value)
}

func (m message) double(field uint64, value float64) message {
	return binary.LittleEndian.AppendUint64(m.key(field, kindFixed64), math.Float64bits(value))
}

func (m message) float(field uint64, value float32) message {
	return binary.LittleEndian.AppendUint32(m.key(field, kindFixed32), math.Float32bits(value))
}

func (m message) text(field uint64, value string) message {
	return append(binary.AppendUvarint(m.key(field, kindBytes), uint64(len(value))), value...)
}

func (m message) message(field uint64, value message) message { return m.text(field, string(value)) }
