package table

import (
	"testing"
	"time"
)

// Whoever is very far behind is still told how many changes that is, and since
// when to about one part in a thousand of it.
func TestArrivalsStayFew(t *testing.T) {
	t.Parallel()
	const all = 100_000
	var as arrivals
	for i := range all {
		as.add(uint64(i+1), time.Unix(int64(i), 0))
		if len(as.list) >= mostArrivals {
			t.Fatalf("%d arrivals are kept, want less than %d", len(as.list), mostArrivals)
		}
	}
	for _, acked := range []int{0, 1, 50_000, all - 1} {
		n, since := as.behind(uint64(acked))
		if off := since.Unix() - int64(acked); n != all-acked || off > 0 || off < -200 {
			t.Errorf("behind %d: %d changes, since %d s off; want %d and at most 200 s early", acked, n, off, all-acked)
		}
	}
	as.forget(all)
	if n, _ := as.behind(all); n != 0 || len(as.list) != 0 {
		t.Errorf("with all dealt with: %d changes, %d arrivals", n, len(as.list))
	}
}
