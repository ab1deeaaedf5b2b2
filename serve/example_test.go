package serve_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/serve"
)

// A model answers under /v1, and the program has other pages beside it.
func Example() {
	lm, err := xlstm.Open("../testdata/countdown")
	check(err)
	defer lm.Close()
	s, err := serve.New(lm, serve.Config{Name: "countdown"})
	check(err)
	defer s.Close()
	mux := http.NewServeMux()
	mux.Handle("/v1/", s)
	mux.HandleFunc("/about", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "It counts down.") })
	site := httptest.NewServer(mux) // elsewhere http.ListenAndServe
	defer site.Close()

	body := `{"model": "countdown", "prompt": "9 8 7 ", "max_tokens": 5, "temperature": 0}`
	r, err := http.Post(site.URL+"/v1/completions", "application/json", strings.NewReader(body))
	check(err)
	defer r.Body.Close()
	answer, err := io.ReadAll(r.Body)
	check(err)
	_, text, _ := strings.Cut(string(answer), `"text":`)
	text, _, _ = strings.Cut(text, ",")
	fmt.Println(text)
	// Output: "6 5 4"
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
