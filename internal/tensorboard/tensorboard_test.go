package tensorboard

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// unframe returns the data of the records in a file.
func unframe(t *testing.T, file []byte) (all [][]byte) {
	t.Helper()
	for len(file) > 0 {
		n := binary.LittleEndian.Uint64(file)
		if got, want := binary.LittleEndian.Uint32(file[8:]), checksum(file[:8]); got != want {
			t.Fatalf("record %d: checksum of the length is %08x, want %08x", len(all), got, want)
		}
		data := file[12 : 12+n]
		if got, want := binary.LittleEndian.Uint32(file[12+n:]), checksum(data); got != want {
			t.Fatalf("record %d: checksum of the data is %08x, want %08x", len(all), got, want)
		}
		all, file = append(all, data), file[16+n:]
	}
	return all
}

// dump writes a message as text, field by field; those in inner are messages.
func dump(t *testing.T, m []byte, path string, inner string) string {
	t.Helper()
	var b strings.Builder
	next := func() uint64 {
		v, n := binary.Uvarint(m)
		if n <= 0 {
			t.Fatalf("%s: no varint", path)
		}
		m = m[n:]
		return v
	}
	for len(m) > 0 {
		key := next()
		at := fmt.Sprintf("%s.%d", path, key>>3)
		switch key & 7 {
		case kindVarint:
			fmt.Fprintf(&b, "%s=%d ", at, next())
		case kindFixed64:
			fmt.Fprintf(&b, "%s=%g ", at, math.Float64frombits(binary.LittleEndian.Uint64(m)))
			m = m[8:]
		case kindFixed32:
			fmt.Fprintf(&b, "%s=%g ", at, math.Float32frombits(binary.LittleEndian.Uint32(m)))
			m = m[4:]
		case kindBytes:
			n := next()
			value := m[:n]
			m = m[n:]
			if strings.Contains(inner, " "+at+" ") {
				b.WriteString(dump(t, value, at, inner))
			} else if !utf8.Valid(value) {
				t.Fatalf("%s is not UTF-8", at)
			} else {
				fmt.Fprintf(&b, "%s=%q ", at, value)
			}
		default:
			t.Fatalf("%s: kind %d", at, key&7)
		}
	}
	return b.String()
}

func TestEventsDecode(t *testing.T) {
	var file bytes.Buffer
	at := time.Unix(1700000000, 500_000_000)
	w, err := NewWriter(&file, at, 7)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Scalars(at, 300, []Scalar{{"loss/train", 1.5}, {"rate", math.Inf(1)}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Text(at, 300, "sample", "    né"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`e.1=1.7000000005e+09 e.2=0 e.3="brain.Event:2" `,
		`e.1=1.7000000005e+09 e.2=7 e.7.1=1 `,
		`e.1=1.7000000005e+09 e.2=300 e.5.1.1="loss/train" e.5.1.2=1.5 e.5.1.1="rate" e.5.1.2=+Inf `,
		`e.1=1.7000000005e+09 e.2=300 e.5.1.1="sample" e.5.1.8.1=7 e.5.1.8.2.2.1=1 e.5.1.8.8="    né" e.5.1.9.1.1="text" e.5.1.9.4=2 `,
	}
	records := unframe(t, file.Bytes())
	if len(records) != len(want) {
		t.Fatalf("%d records, want %d", len(records), len(want))
	}
	for i, r := range records {
		if got := dump(t, r, "e", " e.5 e.5.1 e.5.1.8 e.5.1.8.2 e.5.1.8.2.2 e.5.1.9 e.5.1.9.1 e.7 "); got != want[i] {
			t.Errorf("record %d is\n%s, want\n%s", i, got, want[i])
		}
	}
}

// TestChecksum compares with the CRC-32C of RFC 3720 (B.4), masked.
func TestChecksum(t *testing.T) {
	const crc = uint32(0x8a9136aa) // of 32 zero bytes
	rotated := uint64(crc)>>15 | uint64(crc)<<17&0xffffffff
	want := uint32((rotated + 0xa282ead8) % (1 << 32))
	if got := checksum(make([]byte, 32)); got != want {
		t.Errorf("checksum is %08x, want %08x", got, want)
	}
}
