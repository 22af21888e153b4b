package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
)

func TestAnswersOfParallelInvocationsAreTheirOwn(t *testing.T) {
	h := invoke(func(_ context.Context, in int) (map[string]int, error) { return map[string]int{"n": in}, nil })
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for range 200 {
				out, err := h.Invoke(context.Background(), fmt.Append(nil, i))
				var got map[string]int
				if err != nil || json.Unmarshal(out, &got) != nil || got["n"] != i {
					t.Errorf("invocation with %d was answered %s, %v", i, out, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
