package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// A Kind says what an entry of the history is about.
type Kind string

// The kinds of entries: reports, and every other act on a build.
const (
	Created          Kind = "created"
	StateReported    Kind = "state"
	StateRepeated    Kind = "state.repeated" // a report that changed nothing: it came late or twice
	BuildTakenOver   Kind = "takeover"
	FailureReported  Kind = "failure"
	Updated          Kind = "update"
	ResumeRequested  Kind = "resume"
	ResumeChanged    Kind = "resume.update"
	ArtifactCreated  Kind = "artifact"
	ArtifactChanged  Kind = "artifact.update"
	ArtifactDeleted  Kind = "artifact.delete"
	ArtifactRestored Kind = "artifact.restore"
	ArtifactRevoked  Kind = "artifact.revoke"
	VariableSet      Kind = "variable"
	VariableDeleted  Kind = "variable.delete"
	VariableRevealed Kind = "variable.reveal"
	JobCreated       Kind = "job"
	JobChanged       Kind = "job.update"
	Deleted          Kind = "delete"
	Restored         Kind = "restore"
	CancelRequested  Kind = "cancel"
	Decided          Kind = "decision"
)

// An Entry is one act on a build. Its JSON is what the hash chain covers.
type Entry struct {
	Seq        int             `json:"seq"`
	ID         string          `json:"id"`
	BuildID    string          `json:"build_id"`
	Kind       Kind            `json:"kind"`
	At         time.Time       `json:"at"`
	Actor      string          `json:"actor"`
	Credential string          `json:"credential,omitempty"`
	RequestID  string          `json:"request_id,omitempty"`
	Attempt    int             `json:"attempt"`
	Before     Where           `json:"before"`
	After      Where           `json:"after"`
	Data       json.RawMessage `json:"data,omitempty"` // what was reported, without secrets

	Artifact *Artifact `json:"-"` // what the report registers; the store sets its id
}

// Where is the place a build is in.
type Where struct {
	State  int    `json:"state_code"`
	Status Status `json:"status"`
}

func (b *Build) where() Where { return Where{State: b.Current, Status: b.Status} }

// Place returns where b is, for the before and after of an Entry.
func (b *Build) Place() Where { return b.where() }

// NewEntry returns an entry about data, which must not hold secrets. The store
// fills in the rest.
func NewEntry(kind Kind, data any) (Entry, error) {
	if data == nil {
		return Entry{Kind: kind}, nil
	}
	b, err := json.Marshal(data)
	if err != nil {
		return Entry{}, fmt.Errorf("history entry %s: %w", kind, err)
	}
	return Entry{Kind: kind, Data: b}, nil
}

// A Head is the end of a build's hash chain.
type Head struct {
	Seq  int    `json:"seq"`
	Hash string `json:"hash"`
}

// A Row is one link of the chain as it is stored: the canonical JSON of its
// entry, kept as a string so that not a byte of it changes, the hash of the
// row before it, and the SHA-256 over that hash and those bytes.
type Row struct {
	JSON string `json:"json"`
	Prev string `json:"prev"`
	Hash string `json:"hash"`
}

// Link returns the row that follows head and holds e.
func Link(head Head, e Entry) (Row, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return Row{}, fmt.Errorf("history entry: %w", err)
	}
	r := Row{JSON: string(b), Prev: head.Hash}
	r.Hash = r.sum()
	return r, nil
}

// sum returns the hash the row should have.
func (r Row) sum() string {
	h := sha256.New()
	h.Write([]byte(r.Prev))
	h.Write([]byte(r.JSON))
	return hex.EncodeToString(h.Sum(nil))
}

// Entry returns what the row says.
func (r Row) Entry() (Entry, error) {
	var e Entry
	err := json.Unmarshal([]byte(r.JSON), &e)
	return e, err
}

// A Verdict is what checking a history found.
type Verdict struct {
	BuildID  string `json:"build_id"`
	Valid    bool   `json:"valid"`
	Rows     int    `json:"rows" doc:"How many rows were checked."`
	HeadHash string `json:"head_hash"`
	FirstBad *int   `json:"first_bad_seq,omitempty" doc:"The first row that does not fit."`
	Reason   string `json:"reason,omitempty"`
}

// A Verifier checks the rows of a history one after the other.
type Verifier struct {
	at  Head
	bad *int
	why string
}

// Add checks the next row.
func (v *Verifier) Add(r Row) {
	if v.bad != nil {
		return
	}
	seq := v.at.Seq + 1
	e, err := r.Entry()
	switch {
	case err != nil:
		v.fail(seq, "it is not valid JSON")
	case r.Prev != v.at.Hash:
		v.fail(seq, "it does not follow the row before it")
	case r.Hash != r.sum():
		v.fail(seq, "its hash does not fit its text")
	case e.Seq != seq:
		v.fail(seq, fmt.Sprintf("it says it is row %d", e.Seq))
	}
	v.at = Head{Seq: seq, Hash: r.Hash}
}

func (v *Verifier) fail(seq int, why string) { v.bad, v.why = &seq, why }

// Verdict returns what was found, given the head the build row holds.
func (v *Verifier) Verdict(b *Build) Verdict {
	if v.bad == nil && v.at != b.Head {
		first := min(v.at.Seq, b.Head.Seq) + 1
		if v.at.Seq == b.Head.Seq {
			first = v.at.Seq // the last row is not the one the build knows
		}
		v.fail(first, fmt.Sprintf("the build has %d rows ending in %.12s, the history %d ending in %.12s", b.Head.Seq, b.Head.Hash, v.at.Seq, v.at.Hash))
	}
	return Verdict{BuildID: b.ID, Valid: v.bad == nil, Rows: v.at.Seq, HeadHash: b.Head.Hash, FirstBad: v.bad, Reason: v.why}
}

// A HistoryQuery asks for a page of a history.
type HistoryQuery struct {
	Kinds  []Kind           // none is all
	Wanted func(Entry) bool // of those; nil is all
	Newest bool             // newest first
	Skip   int
	Limit  int
	Cursor string
}

// All reports whether q wants every row.
func (q *HistoryQuery) All() bool { return len(q.Kinds) == 0 && q.Wanted == nil }

// Wants reports whether q wants r.
func (q *HistoryQuery) Wants(r Row) bool {
	if q.All() {
		return true
	}
	e, err := r.Entry()
	return err == nil && (len(q.Kinds) == 0 || slices.Contains(q.Kinds, e.Kind)) && (q.Wanted == nil || q.Wanted(e))
}
