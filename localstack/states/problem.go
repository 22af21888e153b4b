package states

import "fmt"

// A Problem is an error that a caller is told, with the name AWS gives it.
type Problem struct {
	Code    string // such as ExecutionDoesNotExist
	Message string
}

// Error returns code and message.
func (p *Problem) Error() string { return p.Code + ": " + p.Message }

func problem(code, format string, args ...any) *Problem {
	return &Problem{code, fmt.Sprintf(format, args...)}
}
