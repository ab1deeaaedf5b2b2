package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// TestContainer: the last stage of the Dockerfile is from scratch, has no root, and
// what it runs is a command that this program understands, and that wants a key
// since others can reach the container.
func TestContainer(t *testing.T) {
	raw, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, last, found := strings.Cut(string(raw), "FROM scratch\n")
	if !found || strings.Contains(last, "FROM ") || !strings.Contains(last, "\nUSER 65534:65534\n") || !strings.Contains(last, `ENTRYPOINT ["/xlstm"]`) {
		t.Errorf("the last stage is\n%s", last)
	}
	_, list, _ := strings.Cut(last, "CMD ")
	var args []string
	if err := json.Unmarshal([]byte(list), &args); err != nil {
		t.Fatal(err)
	}
	t.Setenv(keyVariable, "")
	_, _, err = runHere(t.Context(), args...)
	testutil.WantError(t, err, "others can reach -addr :8080")
	t.Setenv(keyVariable, "secret")
	_, _, err = runHere(t.Context(), args...)
	testutil.WantError(t, err, "/model")
}
