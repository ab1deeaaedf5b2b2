package pytorch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/pkg/errors"
)

// maxStack bounds what is on the machine's stack at once. PyTorch puts a thousand
// entries of a dictionary on it.
const maxStack = 1 << 16

// The values of a pickle are nil, bool, int, float64, string (also for bytes),
// *Tensor, *storage, and these.
type (
	tuple  []any
	global string // a class or function, "module.name"
	object string // made by a class or function that is not known: its name
	list   struct{ items []any }
	dict   struct{ keys, values []any }
)

// widths are the bytes of the number, length or key that follows an operation.
var widths = map[byte]uint64{
	'K': 1, 'M': 2, // BININT1, BININT2
	'q': 1, 'h': 1, 'r': 4, 'j': 4, // BINPUT, BINGET and their LONG_
	0x8c: 1, 'C': 1, 'X': 4, 'B': 4, 0x8d: 8, 0x8e: 8, // BINUNICODE, BINBYTES and their kinds
}

// machine runs a pickle.
type machine struct {
	in      []byte // what is left of it
	stack   []any
	marks   []int // places on the stack
	memo    map[int]any
	storage func(id tuple) (*storage, error) // which storage an id stands for
}

// run returns the value that the pickle builds.
func (m *machine) run() (any, error) {
	m.memo = make(map[int]any)
	for {
		op, err := m.bytes(1)
		if err != nil {
			return nil, err
		}
		if op[0] == '.' { // STOP
			return m.pop()
		}
		if err := m.step(op[0]); err != nil {
			return nil, errors.Wrapf(err, "the pickle's operation %#02x", op[0])
		}
		if len(m.stack) > maxStack {
			return nil, errors.Errorf("the pickle puts more than %d values on the stack", maxStack)
		}
	}
}

// step runs an operation. The names are those of Python's pickletools.
func (m *machine) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		_, err := m.bytes(1)
		return err
	case 0x95: // FRAME, which only says how much to read at once
		_, err := m.bytes(8)
		return err
	case 'N':
		return m.push(nil)
	case 0x88, 0x89: // NEWTRUE, NEWFALSE
		return m.push(op == 0x88)
	case 'K', 'M', 'J', 0x8a, 'G':
		return m.number(op)
	case 'X', 0x8c, 0x8d, 'B', 'C', 0x8e:
		return m.text(op)
	case ']', 0x8f: // EMPTY_LIST, EMPTY_SET
		return m.push(new(list))
	case '}': // EMPTY_DICT
		return m.push(new(dict))
	case '(': // MARK
		m.marks = append(m.marks, len(m.stack))
		if len(m.marks) > maxStack {
			return errors.New("there are too many marks")
		}
		return nil
	case ')', 't', 0x91, 0x85, 0x86, 0x87:
		return m.tuple(op)
	case 'a', 'e', 0x90, 's', 'u':
		return m.fill(op)
	case 'q', 'r', 0x94, 'h', 'j':
		return m.remember(op)
	case 'c', 0x93:
		return m.global(op)
	case 'R', 0x81, 0x92, 'b', 'Q':
		return m.call(op)
	}
	return errors.New("it is none that PyTorch uses to store tensors")
}

// bytes takes the next n bytes of the pickle.
func (m *machine) bytes(n uint64) ([]byte, error) {
	if n > uint64(len(m.in)) {
		return nil, errors.New("the pickle is cut short")
	}
	b := m.in[:n]
	m.in = m.in[n:]
	return b, nil
}

// uint takes a number of so many bytes.
func (m *machine) uint(width uint64) (uint64, error) {
	var buf [8]byte
	b, err := m.bytes(width)
	copy(buf[:], b)
	return binary.LittleEndian.Uint64(buf[:]), err
}

func (m *machine) push(v any) error {
	m.stack = append(m.stack, v)
	return nil
}

// pop takes the value on top of the stack, above the last mark.
func (m *machine) pop() (any, error) {
	n := len(m.stack) - 1
	if n < 0 || len(m.marks) > 0 && n < m.marks[len(m.marks)-1] {
		return nil, errors.New("there is no value on the stack")
	}
	v := m.stack[n]
	m.stack = m.stack[:n]
	return v, nil
}

// popMark takes what is above the last mark, and the mark.
func (m *machine) popMark() ([]any, error) {
	if len(m.marks) == 0 {
		return nil, errors.New("there is no mark on the stack")
	}
	at := m.marks[len(m.marks)-1]
	m.marks = m.marks[:len(m.marks)-1]
	items := append([]any(nil), m.stack[at:]...)
	m.stack = m.stack[:at]
	return items, nil
}

func (m *machine) number(op byte) error {
	switch op {
	case 'G': // BINFLOAT
		b, err := m.bytes(8)
		if err != nil {
			return err
		}
		return m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	case 'J': // BININT, signed
		n, err := m.uint(4)
		if err != nil {
			return err
		}
		return m.push(int(int32(n)))
	case 0x8a: // LONG1, in two's complement
		return m.long()
	}
	n, err := m.uint(widths[op])
	if err != nil {
		return err
	}
	return m.push(int(n))
}

func (m *machine) long() error {
	width, err := m.uint(1)
	if err != nil {
		return err
	}
	if width > 8 {
		return errors.Errorf("there is a number of %d bytes", width)
	}
	n, err := m.uint(width)
	if err != nil {
		return err
	}
	unused := 64 - 8*width
	return m.push(int(int64(n<<unused) >> unused))
}

// text takes a string or bytes, behind their length in 1, 4 or 8 bytes.
func (m *machine) text(op byte) error {
	n, err := m.uint(widths[op])
	if err != nil {
		return err
	}
	b, err := m.bytes(n)
	if err != nil {
		return err
	}
	return m.push(string(b))
}

func (m *machine) tuple(op byte) error {
	if op == 't' || op == 0x91 { // TUPLE, FROZENSET
		items, err := m.popMark()
		if err != nil {
			return err
		}
		return m.push(tuple(items))
	}
	t := make(tuple, map[byte]int{')': 0, 0x85: 1, 0x86: 2, 0x87: 3}[op])
	for i := len(t) - 1; i >= 0; i-- {
		var err error
		if t[i], err = m.pop(); err != nil {
			return err
		}
	}
	return m.push(t)
}

// fill adds to the list or dictionary below the values.
func (m *machine) fill(op byte) (err error) {
	var items []any
	switch op {
	case 'e', 0x90, 'u': // APPENDS, ADDITEMS, SETITEMS
		items, err = m.popMark()
	case 's': // SETITEM
		items = make([]any, 2)
		if items[1], err = m.pop(); err == nil {
			items[0], err = m.pop()
		}
	default: // APPEND
		items = make([]any, 1)
		items[0], err = m.pop()
	}
	if err != nil {
		return err
	}
	to, err := m.pop()
	if err != nil {
		return err
	}
	switch to := to.(type) {
	case *list:
		to.items = append(to.items, items...)
	case *dict:
		if len(items)%2 != 0 {
			return errors.New("a key has no value")
		}
		for i := 0; i < len(items); i += 2 {
			to.keys, to.values = append(to.keys, items[i]), append(to.values, items[i+1])
		}
	case object: // its contents are unknown
	default:
		return errors.Errorf("%s holds no values", kind(to))
	}
	return m.push(to)
}

// remember puts the value on top of the stack into the memo, or one from there on
// the stack.
func (m *machine) remember(op byte) error {
	key := len(m.memo) // of MEMOIZE
	if op != 0x94 {
		n, err := m.uint(widths[op])
		if err != nil {
			return err
		}
		key = int(n)
	}
	if op == 'h' || op == 'j' { // BINGET, LONG_BINGET
		v, ok := m.memo[key]
		if !ok {
			return errors.Errorf("nothing was remembered as %d", key)
		}
		return m.push(v)
	}
	v, err := m.pop()
	if err != nil {
		return err
	}
	m.memo[key] = v
	return m.push(v)
}

// global names a class or function, by two lines or by two strings on the stack.
func (m *machine) global(op byte) error {
	if op == 'c' { // GLOBAL
		module, rest, ok := bytes.Cut(m.in, []byte("\n"))
		name, rest, also := bytes.Cut(rest, []byte("\n"))
		if !ok || !also {
			return errors.New("the pickle is cut short")
		}
		m.in = rest
		return m.push(global(string(module) + "." + string(name)))
	}
	name, err := m.pop()
	if err != nil {
		return err
	}
	module, err := m.pop()
	if err != nil {
		return err
	}
	a, ok := module.(string)
	b, also := name.(string)
	if !ok || !also {
		return errors.New("a class has no name")
	}
	return m.push(global(a + "." + b))
}

// call makes an object, or says more about one.
func (m *machine) call(op byte) error {
	arg, err := m.pop()
	if err != nil {
		return err
	}
	if op == 'Q' { // BINPERSID
		id, ok := arg.(tuple)
		if !ok {
			return errors.New("the id of a storage is not a tuple")
		}
		s, err := m.storage(id)
		if err != nil {
			return err
		}
		return m.push(s)
	}
	if op == 0x92 { // NEWOBJ_EX, whose last argument has names
		if arg, err = m.pop(); err != nil {
			return err
		}
	}
	what, err := m.pop()
	if err != nil {
		return err
	}
	if op == 'b' { // BUILD, which sets attributes
		return m.push(what)
	}
	args, ok := arg.(tuple)
	if !ok {
		return errors.New("arguments are not a tuple")
	}
	made, err := apply(what, args)
	if err != nil {
		return err
	}
	return m.push(made)
}

// apply calls what is known, and otherwise makes an object of which nothing is
// known but its class.
func apply(what any, args tuple) (any, error) {
	switch f, _ := what.(global); f {
	case "":
		return nil, errors.Errorf("%s is called", kind(what))
	case "collections.OrderedDict", "collections.defaultdict":
		return new(dict), nil
	case "torch._utils._rebuild_tensor_v2":
		return newTensor(args)
	case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
		if len(args) == 0 {
			return nil, errors.New("a parameter has no tensor")
		}
		return args[0], nil
	default:
		return object(f), nil
	}
}

// kind says what a value is.
func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a boolean"
	case int, float64:
		return "a number"
	case string:
		return "a string"
	case tuple:
		return "a tuple"
	case *list:
		return "a list"
	case *dict:
		return "a dictionary"
	case *Tensor:
		return "a tensor"
	case *storage:
		return "a storage"
	case global:
		return fmt.Sprintf("%.100q", string(v))
	case object:
		return fmt.Sprintf("an object of %.100q", string(v))
	}
	return "nothing known"
}
