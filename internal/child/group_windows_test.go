package child

import "os/exec"

func ownGroup(*exec.Cmd) {}
