package lambdaruntime

import (
	"io"
	"net/http"
	"strconv"
)

// api returns the Runtime API (version 2018-06-01) of e.
func (e *Env) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", e.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", e.answer(false))
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", e.answer(true))
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", e.initError)
	return mux
}

// next answers with the next invocation, whenever there is one.
func (e *Env) next(w http.ResponseWriter, r *http.Request) {
	e.asking.Do(func() { close(e.asked) })
	select {
	case <-r.Context().Done():
	case inv := <-e.work:
		e.mu.Lock()
		e.current = inv
		e.mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Invoked-Function-Arn", e.arn())
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0")
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		_, _ = w.Write(inv.payload)
	}
}

// answer takes the answer, or the error, of the invocation in the path.
func (e *Env) answer(failed bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxPayload))
		inv := e.take(r.PathValue("id"))
		switch {
		case inv == nil:
			http.Error(w, `{"errorType":"InvalidRequestID"}`, http.StatusBadRequest)
			return
		case err != nil:
			inv.done <- outcome{failed: true, payload: []byte(`{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`)}
			http.Error(w, `{"errorType":"RequestEntityTooLarge"}`, http.StatusRequestEntityTooLarge)
			return
		}
		inv.done <- outcome{payload: body, failed: failed}
		w.WriteHeader(http.StatusAccepted)
	}
}

// take returns the invocation that is being served if it has that id.
func (e *Env) take(id string) *invocation {
	e.mu.Lock()
	defer e.mu.Unlock()
	inv := e.current
	if inv == nil || inv.id != id {
		return nil
	}
	e.current = nil
	return inv
}

// initError keeps what the process says before it ends.
func (e *Env) initError(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxPayload))
	e.mu.Lock()
	e.failure = body
	e.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
}
