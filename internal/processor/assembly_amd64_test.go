package processor

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/cpu"
)

// features are what a kernel may need and a processor may lack, by the names of
// the generator avo.
var features = map[string]*bool{
	"AVX": &cpu.X86.HasAVX, "AVX2": &cpu.X86.HasAVX2, "FMA3": &cpu.X86.HasFMA, "BMI2": &cpu.X86.HasBMI2,
	"AVX512F": &cpu.X86.HasAVX512F, "AVX512VL": &cpu.X86.HasAVX512VL,
	"AVX512DQ": &cpu.X86.HasAVX512DQ, "AVX512BW": &cpu.X86.HasAVX512BW, "AVX512VNNI": &cpu.X86.HasAVX512VNNI,
}

// everywhere are the features of every amd64 processor.
var everywhere = []string{"CMOV", "SSE", "SSE2", "MMX+"}

// chooses reports whether what reports an instruction set does so on a processor
// that has all features but the given one.
func chooses(set func() bool, without string) bool {
	var before []func()
	defer func() {
		for _, restore := range before {
			restore()
		}
	}()
	for name, feature := range features {
		was := *feature
		before = append(before, func() { *feature = was })
		*feature = name != without
	}
	return set()
}

// function is one of an assembly file.
type function struct {
	name string
	// needs is the features of its instructions as they are written; registers may
	// ask for more.
	needs []string
	code  string
}

var (
	header = regexp.MustCompile(`(?m)^(?:// Requires: (.*)\n)?TEXT ·(\w+)\(SB\).*$`)
	// wideRegister is one that only AVX-512 has, high one of these that is short:
	// any instruction that names it needs AVX-512VL.
	wideRegister = regexp.MustCompile(`\b(Z\d+|K[0-7]|[XY](1[6-9]|2\d|3[01]))\b`)
	highRegister = regexp.MustCompile(`\b[XY](1[6-9]|2\d|3[01])\b`)
)

// functionsOf cuts an assembly file into its functions.
func functionsOf(source string) (all []function) {
	at := header.FindAllStringSubmatchIndex(source, -1)
	for i, m := range at {
		end := len(source)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		f := function{name: source[m[4]:m[5]], code: source[m[1]:end]}
		if m[2] >= 0 {
			f.needs = strings.Split(source[m[2]:m[3]], ", ")
		}
		if highRegister.MatchString(f.code) {
			f.needs = append(f.needs, "AVX512VL")
		}
		all = append(all, f)
	}
	return all
}

// check returns what a processor that is chosen for f may lack, nothing if all is
// well.
func (f function) check() (lacks []string) {
	set := AVX2
	switch {
	case strings.Contains(f.name, "AVX512VNNI"):
		set = AVX512VNNI
	case strings.Contains(f.name, "AVX512"):
		set = AVX512
	default:
		lacks = wideRegister.FindAllString(f.code, -1)
	}
	if f.needs == nil && strings.Contains(f.code, "\tV") {
		return append(lacks, "a line // Requires")
	}
	for _, need := range f.needs {
		if slices.Contains(everywhere, need) {
			continue
		}
		if features[need] == nil || chooses(set, need) {
			lacks = append(lacks, need)
		}
	}
	return lacks
}

// TestKernelsNeedNoMoreThanIsChecked: no function of any assembly file uses an
// instruction or a register that the processors it is chosen for may lack.
func TestKernelsNeedNoMoreThanIsChecked(t *testing.T) {
	if !chooses(AVX2, "nothing") || !chooses(AVX512, "nothing") || !chooses(AVX512VNNI, "nothing") {
		t.Fatal("a processor that has everything is not chosen")
	}
	found := 0
	err := filepath.WalkDir("../..", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, "_amd64.s") {
			return err
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, f := range functionsOf(string(source)) {
			found++
			if lacks := f.check(); lacks != nil {
				t.Errorf("%s: %s needs what is not checked: %s", file, f.name, strings.Join(lacks, ", "))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 100 {
		t.Errorf("only %d functions were found", found)
	}
}

// TestCheckFindsWhatIsMissing: the test above sees each kind of fault.
func TestCheckFindsWhatIsMissing(t *testing.T) {
	for _, c := range []struct{ source, lacks string }{
		{"// Requires: AVX, FMA3\nTEXT ·fAVX2(SB), NOSPLIT, $0\n\tVMOVUPS (AX), Y15\n", ""},
		{"// Requires: AVX\nTEXT ·fAVX2(SB), NOSPLIT, $0\n\tVMOVUPS (AX), Y16\n", "Y16 AVX512VL"},
		{"// Requires: AVX512F\nTEXT ·fAVX2(SB), NOSPLIT, $0\n\tKMOVW AX, K1\n", "K1 AVX512F"},
		{"// Requires: AVX512F\nTEXT ·f(SB), NOSPLIT, $0\n\tVMOVUPS (AX), Z1\n", "Z1 AVX512F"},
		{"// Requires: BMI2\nTEXT ·fAVX2(SB), NOSPLIT, $0\n\tBZHIL AX, AX, AX\n", "BMI2"},
		{"TEXT ·fAVX2(SB), NOSPLIT, $0\n\tVMOVUPS (AX), Y1\n", "a line // Requires"},
		{"// Requires: AVX512F, AVX512VL, BMI2\nTEXT ·fAVX512(SB), NOSPLIT, $0\n\tVMOVUPS (AX), Z31\n", ""},
		{"// Requires: AVX512F\nTEXT ·fAVX512(SB), NOSPLIT, $0\n\tVMOVUPS (AX), Y16\n", ""},
		{"// Requires: AVX512DQ\nTEXT ·fAVX512(SB), NOSPLIT, $0\n\tKMOVB AX, K1\n", "AVX512DQ"},
		{"// Requires: AVX512BW\nTEXT ·fAVX512(SB), NOSPLIT, $0\n\tKMOVQ AX, K1\n", "AVX512BW"},
		{"// Requires: AVX512VNNI\nTEXT ·fAVX512(SB), NOSPLIT, $0\n\tNOP\n", "AVX512VNNI"},
		{"// Requires: AVX512BW, AVX512F, AVX512VNNI\nTEXT ·fAVX512VNNI(SB), NOSPLIT, $0\n\tVMOVUPS (AX), Z1\n", ""},
		{"// Requires: AVX512DQ\nTEXT ·fAVX512VNNI(SB), NOSPLIT, $0\n\tKMOVB AX, K1\n", "AVX512DQ"},
		{"// Requires: AVX512_VBMI\nTEXT ·fAVX512VNNI(SB), NOSPLIT, $0\n\tNOP\n", "AVX512_VBMI"},
	} {
		fs := functionsOf(c.source)
		if len(fs) != 1 {
			t.Fatalf("%d functions in %q", len(fs), c.source)
		}
		if got := strings.Join(fs[0].check(), " "); got != c.lacks {
			t.Errorf("%q lacks %q, want %q", c.source, got, c.lacks)
		}
	}
}
