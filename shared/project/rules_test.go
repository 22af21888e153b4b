package project

import (
	"fmt"
	"testing"
	"time"

	"bldst/shared/build"
	"bldst/shared/problem"
)

var (
	t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	t1 = t0.Add(time.Hour)
)

// rules returns rules with the codes, whose ids are c1, c2, ...
func rules(t *testing.T, codes ...StateCodeIn) *Rules {
	t.Helper()
	r := &Rules{}
	for i, in := range codes {
		if _, err := r.AddCode(in, fmt.Sprintf("c%d", i+1), "p", t0); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestNamesInReportsResolve(t *testing.T) {
	t.Parallel()
	r := rules(t,
		StateCodeIn{Name: ptr("net"), StateCode: ptr(42), DisplayName: ptr("Network")},
		StateCodeIn{Name: ptr("Network"), StateCode: ptr(43)},
		StateCodeIn{Name: ptr("testing"), StateCode: ptr(70)},
		StateCodeIn{Name: ptr("done"), IsFinal: ptr(true)},
		StateCodeIn{Name: ptr("broken"), IsError: ptr(true), IsFinal: ptr(true)},
		StateCodeIn{Name: ptr("stopped"), Cancels: ptr(true)},
		StateCodeIn{Name: ptr("old"), StateCode: ptr(60), DisplayName: ptr("Old one")})
	if _, err := r.DeleteCode("c7", t1); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]build.Code{
		"net": {Number: 42}, "NET": {Number: 42}, "network": {Number: 43},
		"testing": {Number: 70}, "Testing": {Number: 70},
		"done": {Number: 100, Final: true}, "broken": {Error: true}, "stopped": {Cancels: true},
		"pending": {Number: 0}, "Preparation": {Number: 5}, "validation": {Number: 10}, "provisioning": {Number: 20}, "building": {Number: 25},
		"installing": {Number: 30}, "configuring": {Number: 50}, "finalizing": {Number: 95}, "COMPLETED": {Number: 100, Final: true},
	} {
		if got, err := r.Code(name); err != nil || got != want {
			t.Errorf("%s stands for %+v (%v), want %+v", name, got, err, want)
		}
	}
	for _, name := range []string{"old", "Old one", "", "42", "nothing"} {
		_, err := r.Code(name)
		if !problem.Is(err, problem.Invalid) {
			t.Errorf("%q: %v, want an invalid problem", name, err)
		}
	}
}

func TestWhichCodesEndABuild(t *testing.T) {
	t.Parallel()
	r := rules(t,
		StateCodeIn{Name: ptr("early"), StateCode: ptr(90), IsTerminal: ptr(true)},
		StateCodeIn{Name: ptr("plain"), StateCode: ptr(50)},
		StateCodeIn{Name: ptr("failed"), IsFinal: ptr(true), IsError: ptr(true)},
		StateCodeIn{Name: ptr("gone"), StateCode: ptr(80), IsFinal: ptr(true)})
	if _, err := r.DeleteCode("gone", t1); err != nil {
		t.Fatal(err)
	}
	for code, want := range map[int]bool{0: false, 50: false, 80: false, 90: true, 95: false, 100: true} {
		if got := r.Final(code); got != want {
			t.Errorf("%d is final: %v, want %v", code, got, want)
		}
	}
}

func TestWindowsComeFromTheCodeOrTheDefaults(t *testing.T) {
	t.Parallel()
	r := rules(t, StateCodeIn{StateCode: ptr(40), Heartbeat: ptr(60)}, StateCodeIn{StateCode: ptr(45), Timeout: ptr(90)})
	for code, want := range map[int][2]time.Duration{
		40: {time.Minute, build.DefaultLimit(40)}, 45: {build.DefaultHeartbeat, 90 * time.Second}, 50: {build.DefaultHeartbeat, build.DefaultLimit(50)},
	} {
		heartbeat, limit := r.Windows(code)
		if got := [2]time.Duration{heartbeat, limit}; got != want {
			t.Errorf("%d: windows %v, want %v", code, got, want)
		}
	}
}

func TestAFailedChangeLeavesTheCodeAsItWas(t *testing.T) {
	t.Parallel()
	r := rules(t, StateCodeIn{Name: ptr("a")}, StateCodeIn{Name: ptr("b")})
	want := r.Codes[1]
	for _, in := range []StateCodeIn{{Name: ptr("a"), SortOrder: ptr(3)}, {StateCode: ptr(5)}, {StateCode: ptr(6), Code: ptr(7)}} {
		if _, err := r.ChangeCode("b", in, nil, t1); err == nil {
			t.Errorf("%+v is accepted", in)
		}
		if r.Codes[1] != want {
			t.Errorf("after %+v it is %+v, want %+v", in, r.Codes[1], want)
		}
	}
}

func TestAProjectHasAtMostSoManyCodes(t *testing.T) {
	t.Parallel()
	r := &Rules{}
	for i := range maxCodes {
		if _, err := r.AddCode(StateCodeIn{Name: ptr(fmt.Sprint("e", i)), IsError: ptr(true)}, fmt.Sprint(i), "p", t0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.AddCode(StateCodeIn{Name: ptr("one more"), IsError: ptr(true)}, "x", "p", t0); !problem.Is(err, problem.Refused) {
		t.Errorf("%v, want a refusal", err)
	}
}
