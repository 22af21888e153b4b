package build

import (
	"maps"
	"slices"
	"strings"

	"bldst/shared/problem"
)

// maxAMI is how long the ids of all images of a build may be together.
const maxAMI = 2000

// joinAMIs returns the images of regions as Packer writes them, artifact_id of
// its amazon builders: REGION:AMI,REGION:AMI.
func joinAMIs(ids map[string]string) (*string, error) {
	pairs := make([]string, 0, len(ids))
	for _, region := range slices.Sorted(maps.Keys(ids)) {
		if region == "" || ids[region] == "" || strings.ContainsAny(region+ids[region], ",: ") {
			return nil, problem.BadField("ami_ids", "value_error", "Expected the id of an image for each region, such as {\"us-east-1\": \"ami-0abc\"}")
		}
		pairs = append(pairs, region+":"+ids[region])
	}
	all := strings.Join(pairs, ",")
	if len(all) > maxAMI {
		return nil, problem.BadField("ami_ids", "too_long", "All together at most %d characters", maxAMI)
	}
	return &all, nil
}

// splitAMIs returns the image of each region that id names, nil when it is not
// of the form that Packer writes.
func splitAMIs(id string) map[string]string {
	out := map[string]string{}
	for _, pair := range strings.Split(id, ",") {
		region, ami, ok := strings.Cut(strings.TrimSpace(pair), ":")
		if !ok || region == "" || ami == "" || strings.Contains(ami, ":") {
			return nil
		}
		out[region] = ami
	}
	return out
}
