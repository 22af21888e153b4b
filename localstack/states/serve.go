package states

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Target is how the header X-Amz-Target of every request to this service
// begins; a host that serves more than one service looks for it.
const Target = "AWSStepFunctions."

// maxBody is the longest request: an input of the greatest size, every
// character of it escaped, and some room.
const maxBody = 2 << 20

// ServeHTTP answers one request of the Step Functions protocol (AWS JSON 1.0).
// Signatures are not checked. An unknown action is UnknownOperationException.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-Requestid", uuid.NewString())
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	name, ours := strings.CutPrefix(r.Header.Get("X-Amz-Target"), Target)
	run := operations[name]
	if !ours || run == nil || r.Method != http.MethodPost {
		e.refuse(w, problem("UnknownOperationException", "%q is not an operation of this service", name))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		e.refuse(w, unread(err))
		return
	}
	out, err := run(e, body)
	if err != nil {
		e.refuse(w, err)
		return
	}
	e.write(w, http.StatusOK, out)
}

// refuse writes an error: 400 for a *Problem, 500 for anything else, whose
// text goes to the log only.
func (e *Engine) refuse(w http.ResponseWriter, err error) {
	var p *Problem
	status := http.StatusBadRequest
	if !errors.As(err, &p) {
		e.opt.Log.Error("state machines: a request failed", "error", err)
		status, p = http.StatusInternalServerError, problem("InternalServerError", "Internal Server Error")
	}
	if errors.Is(err, ErrClosed) {
		status, p = http.StatusServiceUnavailable, problem("ServiceUnavailable", "the engine is closed")
	}
	w.Header().Set("X-Amzn-Errortype", p.Code)
	e.write(w, status, object{"__type": p.Code, "message": p.Message})
}

func (e *Engine) write(w http.ResponseWriter, status int, v any) {
	body := encode(v)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		e.opt.Log.Debug("state machines: an answer was not read", "error", err)
	}
}

// unread is a request whose body did not come whole.
func unread(err error) *Problem {
	if errors.As(err, new(*http.MaxBytesError)) {
		return problem("SerializationException", "The request is longer than %d bytes", maxBody)
	}
	return problem("SerializationException", "The request ended before its length")
}
