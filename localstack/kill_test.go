package localstack_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"bldst/localstack"
)

// childFolder makes this test binary run the stack in that folder, print its
// address, and wait to be killed.
const childFolder = "BLDST_TEST_STACK_FOLDER"

func TestMain(m *testing.M) {
	dir := os.Getenv(childFolder)
	if dir == "" {
		for name, value := range map[string]string{"rapid.checks": "6", "rapid.nofailfile": "true"} { // the seed is printed; testdata stays clean
			if err := flag.Set(name, value); err != nil {
				panic(err)
			}
		}
		os.Exit(m.Run())
	}
	s, err := localstack.Start(context.Background(), localstack.Options{Data: dir})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(s.URL)
	select {}
}

// acknowledged is what the killed stacks said was done: the number of reports
// of each build, by its id.
type acknowledged struct {
	mu      sync.Mutex
	reports map[string]int
	numbers map[string]string
}

func TestWhatWasAcknowledgedSurvivesSIGKILL(t *testing.T) {
	const kills, clients = 30, 6
	dir := t.TempDir()
	acked := &acknowledged{reports: map[string]int{}, numbers: map[string]string{}}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for kill := range kills {
		url, stop := startChild(t, dir)
		after := 5 + r.IntN(60)
		var wg sync.WaitGroup
		done := make(chan struct{}, 10000)
		for c := range clients {
			wg.Go(func() { writeUntilKilled(url, fmt.Sprintf("kill-%d-%d", kill, c), acked, done) })
		}
		for range after {
			<-done
		}
		stop()
		wg.Wait()
	}
	url, stop := startChild(t, dir)
	defer stop()
	for id, n := range acked.reports {
		checkBuild(t, url, id, acked.numbers[id], n)
	}
	t.Logf("%d builds checked after %d kills", len(acked.reports), kills)
}

// startChild starts the stack in a process of its own; stop kills it.
func startChild(t *testing.T, dir string) (url string, stop func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFolder+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "http") {
		stop()
		t.Fatalf("the stack did not start: %s %v", line, err)
	}
	return strings.TrimSpace(line), stop
}

// writeUntilKilled creates builds and reports on them until the stack is gone.
// Only what was answered counts.
func writeUntilKilled(url, name string, acked *acknowledged, done chan<- struct{}) {
	for n := 0; ; n++ {
		number := fmt.Sprintf("%s-%d", name, n)
		var b struct {
			ID string `json:"id"`
		}
		if send(url+"/builds", fmt.Sprintf(`{"build_number":%q}`, number), http.StatusCreated, &b) != nil {
			return
		}
		acked.mu.Lock()
		acked.reports[b.ID], acked.numbers[b.ID] = 0, number
		acked.mu.Unlock()
		done <- struct{}{}
		for code := 5; code < 100; code += 5 {
			if send(url+"/builds/"+b.ID+"/state", fmt.Sprintf(`{"state_code":%d}`, code), http.StatusOK, nil) != nil {
				return
			}
			acked.mu.Lock()
			acked.reports[b.ID]++
			acked.mu.Unlock()
			done <- struct{}{}
		}
	}
}

// checkBuild compares what is there with what was acknowledged: at most the
// one report that was under way when the stack was killed may have come in,
// too. Build, number, history and chain agree: no half of a transaction.
func checkBuild(t *testing.T, url, id, number string, reports int) {
	t.Helper()
	var b struct {
		ID           string `json:"id"`
		CurrentState int    `json:"current_state"`
		Revision     int    `json:"revision"`
	}
	if err := fetch(url+"/builds/"+number, &b); err != nil || b.ID != id {
		t.Fatalf("build %s is not found by its number: %v", number, err)
	}
	if got := b.Revision - 1; got != reports && got != reports+1 {
		t.Errorf("build %s has %d reports, %d were acknowledged", number, got, reports)
	}
	if want := (b.Revision - 1) * 5; b.CurrentState != want {
		t.Errorf("build %s is at state %d, its revision says %d", number, b.CurrentState, want)
	}
	var v struct {
		Valid  bool   `json:"valid"`
		Rows   int    `json:"rows"`
		Reason string `json:"reason"`
	}
	if err := fetch(url+"/builds/"+id+"/history/verify", &v); err != nil || !v.Valid || v.Rows != b.Revision {
		t.Errorf("history of build %s: %+v %v, want %d valid rows", number, v, err, b.Revision)
	}
}

func send(url, body string, want int, out any) error {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	return roundTrip(req, want, out)
}

func fetch(url string, out any) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return roundTrip(req, http.StatusOK, out)
}

var patient = &http.Client{Timeout: 10 * time.Second}

func roundTrip(req *http.Request, want int, out any) error {
	req.Header.Set("X-API-Key", "dev-key-12345")
	res, err := patient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != want {
		return fmt.Errorf("%s: %s", res.Status, b)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}
