package tensorboard

import (
	"encoding/binary"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame returns a record of a TFRecord file: the length, its checksum, the data,
// its checksum.
func frame(data []byte) []byte {
	record := binary.LittleEndian.AppendUint64(make([]byte, 0, len(data)+16), uint64(len(data)))
	record = binary.LittleEndian.AppendUint32(record, checksum(record))
	record = append(record, data...)
	return binary.LittleEndian.AppendUint32(record, checksum(data))
}

// checksum is CRC-32C, masked as the format wants it: a checksum of data that
// holds checksums would be weak.
func checksum(data []byte) uint32 {
	crc := crc32.Checksum(data, castagnoli)
	return (crc>>15 | crc<<17) + 0xa282ead8
}
