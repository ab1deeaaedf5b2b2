package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

// documentsText writes texts of some lines each into one folder.
func documentsText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(sampleText(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i := 0; len(text) > 0; i++ {
		n := min(len(text), 37)
		if err := os.WriteFile(filepath.Join(dir, "doc"+string(rune('a'+i/26))+string(rune('a'+i%26))+".txt"), text[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		text = text[n:]
	}
	return dir
}

// lossOf finds the loss that a command printed.
func lossOf(t *testing.T, out string) string {
	t.Helper()
	m := regexp.MustCompile(`held-out tokens:\n(loss .* nats per token)|tokens: (loss .* nats per token)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no loss in %q", out)
	}
	return m[1] + m[2]
}

// TestResetDocuments: the state is reset in training and in evaluation, and a run
// that is resumed ends in the weights of one that never stopped.
func TestResetDocuments(t *testing.T) {
	text := documentsText(t)
	for _, order := range []string{"-carry=true", "-carry=false"} {
		whole, plain := t.TempDir(), t.TempDir()
		out := mustRun(t, small(text, whole, "-tokens", "bytes", order, "-reset-documents")...)
		if !strings.Contains(out, "reset at documents") {
			t.Errorf("%s: the run does not say that it resets:\n%s", order, out)
		}
		settings, err := os.ReadFile(filepath.Join(whole, run.SettingsFile))
		if err != nil || !strings.Contains(string(settings), `"reset_documents": true`) {
			t.Errorf("%s: the settings do not say that the run resets: %v\n%s", order, err, settings)
		}
		if judged, measured := lossOf(t, out), lossOf(t, mustRun(t, "evaluate", whole)); judged != measured {
			t.Errorf("%s: the run ends with %q, evaluate says %q", order, judged, measured)
		}
		if other := lossOf(t, mustRun(t, small(text, plain, "-tokens", "bytes", order)...)); other == lossOf(t, out) {
			t.Errorf("%s: resets change nothing", order)
		}
		// A context that is done stops the run after its next step.
		stopped := filepath.Join(t.TempDir(), "stopped")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := runHere(ctx, small(text, stopped, "-tokens", "bytes", order, "-reset-documents")...); err != nil {
			t.Fatal(err)
		}
		mustRun(t, "resume", stopped)
		sameRun(t, "stopped and resumed", stopped, whole)
	}
}

func TestResetDocumentsNeedsATokenBetween(t *testing.T) {
	_, _, err := runHere(t.Context(), small(sampleText(t), t.TempDir(), "-reset-documents")...)
	if err == nil || !strings.Contains(err.Error(), "-reset-documents") {
		t.Errorf("a text of one document in characters: %v", err)
	}
}
