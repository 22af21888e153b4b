package lambdaruntime_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"bldst/localstack/lambdaruntime"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// The test binary is the function: see bootstrap.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		bootstrap()
	}
	os.Exit(m.Run())
}

type order struct{ Do string }

func bootstrap() {
	if os.Getenv("DIE_EARLY") != "" {
		os.Exit(3)
	}
	lambda.Start(func(ctx context.Context, o order) (string, error) {
		switch o.Do {
		case "fail":
			return "", errors.New("boom")
		case "panic":
			panic("kaboom")
		case "exit":
			os.Exit(4)
		case "hang":
			select {}
		}
		lc, _ := lambdacontext.FromContext(ctx)
		return o.Do + " by " + lambdacontext.FunctionName + " as " + lc.InvokedFunctionArn, nil
	})
}

func start(t *testing.T, env ...string) *lambdaruntime.Env {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e, err := lambdaruntime.Start(lambdaruntime.Options{Bootstrap: self, Name: "tester", Env: env, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	e := start(t)
	for _, do := range []string{"one", "two"} {
		out, err := e.Invoke(t.Context(), []byte(`{"Do":"`+do+`"}`))
		var got string
		if err != nil || json.Unmarshal(out, &got) != nil {
			t.Fatalf("%s: %q, error %v", do, out, err)
		}
		if want := do + " by tester as arn:aws:lambda:us-east-1:000000000000:function:tester"; got != want {
			t.Errorf("answer %q, want %q", got, want)
		}
	}
}

func TestInvokeReportsFailures(t *testing.T) {
	t.Parallel()
	for do, want := range map[string]struct {
		typ     string
		message string
		alive   bool
	}{
		"fail":  {"errorString", "boom", true},
		"panic": {"string", "kaboom", false},
		"exit":  {"Runtime.ExitError", "Runtime exited: exit status 4", false},
	} {
		t.Run(do, func(t *testing.T) {
			t.Parallel()
			e := start(t)
			_, err := e.Invoke(t.Context(), []byte(`{"Do":"`+do+`"}`))
			var f *lambdaruntime.FunctionError
			if !errors.As(err, &f) || f.Type != want.typ || !strings.Contains(f.Message, want.message) {
				t.Fatalf("error %v, want %s with %q", err, want.typ, want.message)
			}
			_, err = e.Invoke(t.Context(), []byte(`{"Do":"again"}`))
			if (err == nil) != want.alive {
				t.Errorf("afterwards error %v, want a living process: %v", err, want.alive)
			}
		})
	}
}

func TestAnInvocationThatTakesTooLongKillsTheProcess(t *testing.T) {
	t.Parallel()
	e := start(t)
	if _, err := e.Invoke(t.Context(), []byte(`{"Do":"warm up"}`)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := e.Invoke(ctx, []byte(`{"Do":"hang"}`))
	var f *lambdaruntime.FunctionError
	if !errors.As(err, &f) || f.Type != "Sandbox.Timedout" {
		t.Fatalf("error %v, want Sandbox.Timedout", err)
	}
	<-e.Exited()
}

func TestAProcessThatEndsBeforeItAsksForWork(t *testing.T) {
	t.Parallel()
	e := start(t, "DIE_EARLY=1")
	_, err := e.Invoke(t.Context(), []byte(`{}`))
	var f *lambdaruntime.FunctionError
	if !errors.As(err, &f) || f.Type != "Runtime.ExitError" || !strings.Contains(f.Message, "exit status 3") {
		t.Fatalf("error %v, want Runtime.ExitError with exit status 3", err)
	}
}

func TestAFileThatIsNoProgram(t *testing.T) {
	t.Parallel()
	_, err := lambdaruntime.Start(lambdaruntime.Options{Bootstrap: t.TempDir(), Name: "folder"})
	if err == nil {
		t.Fatal("a folder was started")
	}
}
