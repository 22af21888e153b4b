package table_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	embedded "bldst/localstack/table"
	"bldst/shared/table"
)

// victimPath names the variable that makes the test binary the process that
// TestAcknowledgedWritesSurviveKill kills: it writes to the file until it dies.
const victimPath = "BLDST_TEST_VICTIM"

func TestMain(m *testing.M) {
	if path := os.Getenv(victimPath); path != "" {
		fmt.Fprintln(os.Stderr, victim(path, os.Stdout))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// victim writes pairs from several goroutines and prints the name of each once
// it is acknowledged.
func victim(path string, out io.Writer) error {
	tbl, err := embedded.Open(path, embedded.Options{Feed: true})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	failed := make(chan error)
	for w := range 6 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, n)
				if err := tbl.Write(context.Background(), pair(id)...); err != nil {
					failed <- err
				}
				mu.Lock()
				fmt.Fprintln(out, id)
				mu.Unlock()
			}
		}()
	}
	return <-failed
}

// pair returns the writes of one transaction: two items, one of them indexed.
func pair(id string) []table.Op {
	left, right := row("left#"+id, "a"), row("right#"+id, "a")
	left.Index[0] = table.IndexKey{PK: "pairs", SK: id}
	left.Doc = []byte(`"` + strings.Repeat(id, 1+len(id)%7*40) + `"`)
	return []table.Op{create(left), create(right)}
}

func TestAcknowledgedWritesSurviveKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "table.db")
	acknowledged := map[string]bool{}
	for range 30 {
		killed(t, path, acknowledged)
	}
	tbl := open(t, path, embedded.Options{Feed: true})
	stored := map[string]bool{}
	for q := (table.Query{Index: 1, PK: "pairs", Limit: table.MaxLimit}); ; {
		page, err := tbl.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			id := strings.TrimPrefix(it.PK, "left#")
			stored[id] = true
			items, err := tbl.Get(t.Context(), table.Key{PK: "left#" + id, SK: "a"}, table.Key{PK: "right#" + id, SK: "a"})
			if err != nil || items[0] == nil || items[1] == nil {
				t.Fatalf("half of the pair %s is missing (error %v)", id, err)
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	for id := range acknowledged {
		if !stored[id] {
			t.Errorf("write %s was acknowledged and is lost", id)
		}
	}
	t.Logf("%d writes acknowledged, %d stored", len(acknowledged), len(stored))
	wantFeed(t, tbl, len(stored))
}

// wantFeed fails unless the feed has two changes for each of n pairs.
func wantFeed(t *testing.T, tbl *embedded.Table, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	after, got := "", 0
	for got < 2*n {
		changes, err := tbl.Changes(ctx, after, 1000)
		if err != nil || len(changes) == 0 {
			break
		}
		after = changes[len(changes)-1].Seq
		got += len(changes)
	}
	if got != 2*n {
		t.Errorf("the feed has %d changes of %d pairs", got, n)
	}
}

// killed runs a victim on path, kills it at a random moment, and adds the
// writes it has acknowledged.
func killed(t *testing.T, path string, acknowledged map[string]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimPath+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	moment := 1 + rand.IntN(600) // acknowledgements before the kill
	lines := bufio.NewReader(out)
	for n := 0; ; n++ {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a line cut off by the kill was not read by anyone
		}
		acknowledged[strings.TrimSpace(line)] = true
		if n == moment {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() == 1 {
		t.Fatalf("the victim ended by itself: %v", err)
	}
}
