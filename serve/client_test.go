package serve

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestTheRealClient lets OpenAI's own client talk to a server, if
// XLSTM_OPENAI_PYTHON names an interpreter that has it:
//
//	python3 -m venv env && env/bin/pip install openai
//	XLSTM_OPENAI_PYTHON=env/bin/python go test -v -run TheRealClient ./serve
func TestTheRealClient(t *testing.T) {
	python := os.Getenv("XLSTM_OPENAI_PYTHON")
	if python == "" {
		t.Skip("XLSTM_OPENAI_PYTHON is not set")
	}
	_, h := newServer(t, Config{Rows: 4, APIKey: "secret"})
	out, err := exec.CommandContext(t.Context(), python, "testdata/client.py", h.URL, "secret").CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "all as it should be") {
		t.Errorf("the client: %v", err)
	}
}
